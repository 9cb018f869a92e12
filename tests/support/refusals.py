"""Errors of the service as a caller reads them, held against the server's table of causes."""

from typing import Any

import grpc
from causes import CAUSES
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from rdserve.server.grpc_api.interceptors.errors import PUSHBACK

BY_REASON = {cause.error.reason: cause for cause in CAUSES}


def refused(call: Any) -> grpc.RpcError:
    """The error in which a call, begun with `.future`, ends; it must."""
    error = call.exception(timeout=120)
    assert isinstance(error, grpc.RpcError), f"answered: {call.result()}"
    return error


def reason_of(error: Any) -> str:
    """Why the service refused; status, details and pushback must be those of that cause."""
    status = rpc_status.from_call(error)
    assert status is not None, error
    info, *others = status.details
    told = error_details_pb2.ErrorInfo()
    assert info.Unpack(told)
    assert told.domain == "rdserve"
    cause = BY_REASON[told.reason]
    assert error.code() == cause.error.status
    assert status.message == error.details()
    assert "Traceback" not in str(error)
    assert ".py" not in str(error)
    kinds = [other.TypeName().removeprefix("google.rpc.") for other in others]
    assert kinds == [kind for kind in ("BadRequest", "RetryInfo", "ResourceInfo") if kind in cause.details]
    pushback = dict(error.trailing_metadata())[PUSHBACK]
    if kinds == ["RetryInfo"]:
        retry = error_details_pb2.RetryInfo()
        others[0].Unpack(retry)
        assert pushback == str(retry.retry_delay.ToMilliseconds())
    else:
        assert pushback == "-1"
    return told.reason
