"""Public requests in the workers' envelope, and replies out of it."""

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from rdserve.server.errors import BackendUnavailable, Defect, InvalidRequest, NumericError, OutOfMemory
from rdserve.v1 import worker_pb2
from rdserve.v1.worker_pb2 import WorkError, WorkReply, WorkRequest
from rdserve.wire.batches import Request, Response, op_of

log = logging.getLogger(__name__)

# call(model, serialized WorkRequest) -> serialized WorkReply
Call = Callable[[str, bytes], Awaitable[bytes]]
# on_loss(model, error): a worker of the model is gone, or does not answer
OnLoss = Callable[[str, BackendUnavailable], None]


class CallMeta(NamedTuple):
    """What a call to a worker carries beside its request.

    traceparent: W3C header of the span of the call; empty where nobody traces.
    revocation_file: where it appears the worker gives up; empty where nothing can revoke the call.
    """

    traceparent: str = ""
    revocation_file: str = ""


class Placement(NamedTuple):
    """What a worker computes on and in, as `Model` says it; empty where that is not known."""

    device: str = ""
    dtype: str = ""


NO_META = CallMeta()
NOWHERE = Placement()


class Reply(NamedTuple):
    """What a worker answers: the response, seconds in the model, and where it was computed."""

    response: Response
    compute_seconds: float = 0.0
    placement: Placement = NOWHERE


class Revoked(Exception):
    """Nobody waited for this call, so its worker gave up."""


class _Raised(Exception):
    """What a worker raised; its text is the traceback there."""


def encode_request(request: Request, call: CallMeta = NO_META) -> bytes:
    """A request as a serialized WorkRequest."""
    envelope = WorkRequest(**call._asdict())
    getattr(envelope, op_of(request)).CopyFrom(request)
    return envelope.SerializeToString()


def decode_reply(request: Request, reply: bytes) -> Reply:
    """A serialized WorkReply to a request.

    Raises:
        ServiceError: the error that the reply carries.
        Revoked: the worker gave up, because the call was revoked.
    """
    envelope = WorkReply.FromString(reply)
    kind = envelope.WhichOneof("result")
    if kind == "error":
        raise _to_exception(envelope.error)
    if kind != op_of(request):
        raise RuntimeError(f"asked model {request.model!r} to {op_of(request)}, got a reply to {kind}")
    placement = Placement(envelope.device, envelope.dtype)
    return Reply(getattr(envelope, kind), envelope.compute_seconds, placement)


async def call_worker(call: Call, request: Request, meta: CallMeta = NO_META) -> Reply:
    """Send one request to its model's workers and await the reply.

    Raises:
        ServiceError: what the worker, or the way to it, reported.
    """
    return decode_reply(request, await call(request.model, encode_request(request, meta)))


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
