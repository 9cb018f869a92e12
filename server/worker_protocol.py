"""Public requests in the workers' envelope, and replies out of it."""

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from rdserve.server.batching import revocation
from rdserve.server.errors import Defect, InvalidRequest, NumericError, OutOfMemory
from rdserve.server.observability.call_context import computed
from rdserve.v1 import worker_pb2
from rdserve.v1.worker_pb2 import WorkError, WorkReply, WorkRequest
from rdserve.wire.batches import Request, Response, op_of
from rdserve.wire.tracing import CARRIED

log = logging.getLogger(__name__)

# call(model, serialized WorkRequest) -> serialized WorkReply
Call = Callable[[str, bytes], Awaitable[bytes]]


class Revoked(Exception):
    """Nobody waited for this call, so its worker gave up."""


class _Raised(Exception):
    """What a worker raised; its text is the traceback there."""


def encode_request(request: Request) -> bytes:
    """A request as a serialized WorkRequest."""
    envelope = WorkRequest(traceparent=CARRIED.get(), revocation_file=revocation.FILE.get())
    getattr(envelope, op_of(request)).CopyFrom(request)
    return envelope.SerializeToString()


def decode_reply(request: Request, reply: bytes) -> Response:
    """The response in a serialized WorkReply.

    Raises:
        ServiceError: the error that the reply carries.
        Revoked: the worker gave up, because the call was revoked.
    """
    envelope = WorkReply.FromString(reply)
    computed(envelope.compute_seconds)
    kind = envelope.WhichOneof("result")
    if kind == "error":
        raise _to_exception(envelope.error)
    if kind != op_of(request):
        raise RuntimeError(f"asked model {request.model!r} to {op_of(request)}, got a reply to {kind}")
    response: Response = getattr(envelope, kind)
    return response


class Placement(NamedTuple):
    """What a worker computes on and in, as `Model` says it; empty where that is not known."""

    device: str = ""
    dtype: str = ""


NOWHERE = Placement()


def place_of(reply: bytes) -> Placement:
    """Where a serialized WorkReply was made."""
    envelope = WorkReply.FromString(reply)
    return Placement(envelope.device, envelope.dtype)


async def call_worker(call: Call, request: Request) -> Response:
    """Send one request to its model's workers and await the response.

    Raises:
        ServiceError: what the worker, or the way to it, reported.
    """
    return decode_reply(request, await call(request.model, encode_request(request)))


def _to_exception(error: WorkError) -> Exception:
    if error.reason == worker_pb2.WORK_ERROR_REASON_ABANDONED:
        return Revoked()
    if error.reason == worker_pb2.WORK_ERROR_REASON_INVALID_ARGUMENT:
        return InvalidRequest(error.message, field=error.field)
    if error.reason == worker_pb2.WORK_ERROR_REASON_NUMERIC_FAILURE:
        return NumericError(error.message)
    if error.reason == worker_pb2.WORK_ERROR_REASON_OUT_OF_MEMORY:
        return OutOfMemory(error.message)
    log.error("internal error %s in a worker", error.error_id, exc_info=_Raised(error.message))
    return Defect(error.error_id)
