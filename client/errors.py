"""What can go wrong, as types. Every gRPC status maps to one class, so callers never read codes."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

# The trailing metadata that names a call in the service's log.
REQUEST_ID = "x-request-id"


class RdserveError(Exception):
    """Anything this package raises on purpose."""


class InputError(RdserveError, ValueError):
    """Found here, before anything was sent: the input cannot be a valid request."""


class ReplyError(RdserveError):
    """The server's reply breaks the contract, for example with too few rows."""


class ServiceError(RdserveError):
    """A call that the service refused or could not finish.

    reason: UPPER_SNAKE cause within domain "rdserve"; empty where the server gave none.
    fields: request field -> what is wrong with it.
    retry_after_s: when the server thinks that a retry may work.
    request_id: names the call in the service's log; empty where it never got there.
    """

    status = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.reason = reason
        self.metadata = MappingProxyType(dict(metadata or {}))
        self.fields = MappingProxyType(dict(fields or {}))
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> "tuple[Callable[[str], ServiceError], tuple[str]]":
        """Errors travel between processes, as those of calls made on other machines do."""
        make = partial(
            type(self),
            reason=self.reason,
            metadata=dict(self.metadata),
            fields=dict(self.fields),
            retry_after_s=self.retry_after_s,
            request_id=self.request_id,
        )
        return make, (super().__str__(),)

    def __str__(self) -> str:
        said = super().__str__()
        return f"{said} [request {self.request_id}]" if self.request_id else said


class Unknown(ServiceError):
    status = grpc.StatusCode.UNKNOWN


class Cancelled(ServiceError):
    status = grpc.StatusCode.CANCELLED


class InvalidArgument(ServiceError):
    """The request is wrong whatever the server's state; `fields` says where."""

    status = grpc.StatusCode.INVALID_ARGUMENT


class DeadlineExceeded(ServiceError, TimeoutError):
    status = grpc.StatusCode.DEADLINE_EXCEEDED


class NotFound(ServiceError):
    """The store holds no such model."""

    status = grpc.StatusCode.NOT_FOUND


class AlreadyExists(ServiceError):
    status = grpc.StatusCode.ALREADY_EXISTS


class PermissionDenied(ServiceError):
    status = grpc.StatusCode.PERMISSION_DENIED


class ResourceExhausted(ServiceError):
    """The server's queue is full, or a message is larger than it takes."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED


class FailedPrecondition(ServiceError):
    """Valid, but not for the server's present state."""

    status = grpc.StatusCode.FAILED_PRECONDITION


class Aborted(ServiceError):
    status = grpc.StatusCode.ABORTED


class OutOfRange(ServiceError):
    status = grpc.StatusCode.OUT_OF_RANGE


class Unimplemented(ServiceError):
    """This server has no such call: an older version, or another service on that port."""

    status = grpc.StatusCode.UNIMPLEMENTED


class Internal(ServiceError):
    """A fault of the server or of the model; `metadata` may hold an id to find it in its log."""

    status = grpc.StatusCode.INTERNAL


class Unavailable(ServiceError, ConnectionError):
    """Nobody answers at the address, or the model is loading, or the server is stopping."""

    status = grpc.StatusCode.UNAVAILABLE


class Unreachable(Unavailable):
    """Nobody answers at the address, be it that the deadline passed before there was a connection."""


class Untrusted(Unavailable):
    """Somebody answers there, and TLS is what the two do not agree on."""


class DataLoss(ServiceError):
    status = grpc.StatusCode.DATA_LOSS


class Unauthenticated(ServiceError):
    status = grpc.StatusCode.UNAUTHENTICATED


_BY_STATUS: dict[grpc.StatusCode, type[ServiceError]] = {
    error.status: error
    for error in (
        Unknown,
        Cancelled,
        InvalidArgument,
        DeadlineExceeded,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        ResourceExhausted,
        FailedPrecondition,
        Aborted,
        OutOfRange,
        Unimplemented,
        Internal,
        Unavailable,
        DataLoss,
        Unauthenticated,
    )
}

_BY_CODE: dict[int, type[ServiceError]] = {status.value[0]: kind for status, kind in _BY_STATUS.items()}


def from_rpc_error(error: grpc.RpcError) -> ServiceError:
    """The typed form of a failed call; raise it `from error`."""
    status, request_id = _rich_status(error), _request_id(error)
    if status is None:
        kind = _BY_STATUS.get(error.code(), Unknown)
        return kind(error.details() or error.code().name, request_id=request_id)
    return from_status(status, request_id)


def from_status(status: Status, request_id: str = "") -> ServiceError:
    """The typed form of a failure that a reply tells of."""
    info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in status.details:
        with suppress(DecodeError):  # the status holds without a detail that cannot be read
            _ = detail.Unpack(info) or detail.Unpack(bad) or detail.Unpack(retry)
    return _BY_CODE.get(status.code, Unknown)(
        status.message,
        reason=info.reason,
        metadata=info.metadata,
        fields={violation.field: violation.description for violation in bad.field_violations},
        retry_after_s=(retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9) or None,
        request_id=request_id,
    )


def _request_id(error: Any) -> str:
    told = dict(error.trailing_metadata() or ())
    return str(told.get(REQUEST_ID, ""))


def _rich_status(error: Any) -> Status | None:
    try:
        status: Status | None = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        # A proxy rewrote the code or the message, or these are no details: believe what grpc says.
        return None
    return status
