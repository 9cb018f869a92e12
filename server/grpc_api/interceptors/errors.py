"""Exceptions -> status, for every RPC of every service, in one place."""

import inspect
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from grpc import aio
from grpc_status import rpc_status
from rdserve.server.errors import Defect, InvalidRequest, StatusError, UnknownMethod, pushback_ms
from rdserve.server.observability import call_context

log = logging.getLogger(__name__)

PUSHBACK = "grpc-retry-pushback-ms"
# Handlers that are kept; the service has a quarter of these.
MAX_METHODS = 50

Context = aio.ServicerContext[Any, Any]
Unary = Callable[[Any, Context], Awaitable[Any]]
Stream = Callable[[Any, Context], AsyncIterator[Any]]
Decode = Callable[[Any], Any]
Handler = Any  # grpc.RpcMethodHandler, which is generic in the stubs only


class ErrorsToStatus(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Handlers raise; callers see google.rpc.Status. A bug is INTERNAL with an id, its traceback logged."""

    def __init__(self) -> None:
        self._guarded = PerMethod(_guarded)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        if handler is None:
            return _nobodys(handler_call_details.method)
        return self._guarded(handler, handler_call_details.method)


class PerMethod:
    """Wraps a method's handler once, not for each call; one that is new each time, each time.

    wrap(handler, method): the handler to use.
    """

    def __init__(self, wrap: Callable[[Handler, str], Handler]) -> None:
        self._wrap = wrap
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    def __call__(self, handler: Handler, method: str) -> Handler:
        known = self._wrapped.get(method)
        if known is not None and known[0] is handler:
            return known[1]
        if len(self._wrapped) >= MAX_METHODS:  # callers name methods that are not there, as they like
            self._wrapped.clear()
        wrapped = self._wrap(handler, method)
        self._wrapped[method] = (handler, wrapped)
        return wrapped


def _guarded(handler: Handler, method: str) -> Handler:
    """The handler with its errors translated.

    It decodes the request itself: bytes that grpc's own aio server cannot decode are UNKNOWN to it.
    """
    kind, behaviour = behaviour_of(handler)
    decode = _decoder(handler.request_deserializer)
    # Some streaming handlers yield their responses, others (grpc's own health.Watch) write them.
    writes = inspect.iscoroutinefunction(behaviour)
    guard = _unary if kind.endswith("unary") or writes else _stream
    guarded = guard(behaviour, _each(decode) if kind.startswith("stream") else decode, method)
    return KINDS[kind](guarded, response_serializer=handler.response_serializer)


def _nobodys(method: str) -> Handler:
    """Refuses a method that is not there, as every other error is told."""

    async def refuse(requests: AsyncIterator[Any], context: Context) -> None:
        await _abort(context, UnknownMethod(method), method)

    # Whatever kind it was meant to be: with a streaming handler, grpc waits for no message.
    return grpc.stream_stream_rpc_method_handler(refuse)


KINDS: dict[str, Callable[..., Handler]] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}


def behaviour_of(handler: Handler) -> tuple[str, Any]:
    """The handler's kind, one of KINDS, and the function that answers."""
    return next((kind, found) for kind in KINDS if (found := getattr(handler, kind)))


def handler_like(handler: Handler, kind: str, behaviour: Any) -> Handler:
    """A handler of that kind with the messages of another."""
    return KINDS[kind](
        behaviour,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


def _decoder(deserialize: Decode | None) -> Decode:
    def decode(request: bytes) -> Any:
        try:
            return deserialize(request) if deserialize else request
        except DecodeError:
            raise InvalidRequest(
                f"the {len(request)} bytes of the request are no message of this method", field="request"
            ) from None

    return decode


def _each(decode: Decode) -> Decode:
    async def decoded(requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for request in requests:
            yield decode(request)

    return decoded


def _unary(behaviour: Unary, decode: Decode, method: str) -> Unary:
    async def wrapped(request: Any, context: Context) -> Any:
        try:
            return await behaviour(decode(request), context)
        except Exception as error:
            await _abort(context, error, method)

    return wrapped


def _stream(behaviour: Stream, decode: Decode, method: str) -> Stream:
    async def wrapped(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            async for response in behaviour(decode(request), context):
                yield response
        except Exception as error:
            await _abort(context, error, method)

    return wrapped


async def _abort(context: Context, error: Exception, method: str) -> NoReturn:
    # The handler has aborted already, or the client has left and nobody can be told.
    if isinstance(error, aio.AbortError | aio.InternalError):
        raise error
    seen = as_service_error(error, method)
    status = to_status(seen)
    rich: Any = rpc_status.to_status(status)
    pushback = (PUSHBACK, str(pushback_ms(seen)))
    noted = call_context.failed(seen.reason)
    await context.abort(seen.status, status.message, (*rich.trailing_metadata, pushback, *noted))


def as_service_error(error: Exception, method: str) -> StatusError:
    """What the caller sees of it: a bug's traceback goes into the log, under the id that the caller gets."""
    if isinstance(error, StatusError):
        return error
    error_id = uuid.uuid4().hex[:12]
    log.error("internal error %s in %s", error_id, method, exc_info=error)
    return Defect(error_id)


def to_status(error: StatusError) -> Status:
    """The error as google.rpc.Status."""
    status = Status(code=error.status.value[0], message=error.message)
    for detail in error.details():
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status
