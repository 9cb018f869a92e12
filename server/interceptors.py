"""Exceptions -> status, for every RPC of every service, in one place."""

import inspect
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.status_pb2 import Status
from grpc import aio
from grpc_status import rpc_status
from rdserve.server.errors import Defect, ServiceError

log = logging.getLogger(__name__)

PUSHBACK = "grpc-retry-pushback-ms"

Context = aio.ServicerContext[Any, Any]
Unary = Callable[[Any, Context], Awaitable[Any]]
Stream = Callable[[Any, Context], AsyncIterator[Any]]
Handler = Any  # grpc.RpcMethodHandler, which is generic in the stubs only


class ErrorsToStatus(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Handlers raise; callers see google.rpc.Status. A bug is INTERNAL with an id, its traceback logged."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        return _guarded(await continuation(handler_call_details), handler_call_details.method)


def _guarded(handler: Handler, method: str) -> Handler:
    """The handler with its errors translated; None, for an unknown method, stays None."""
    if handler is None:
        return None
    if handler.unary_unary:
        behaviour = _unary(handler.unary_unary, method)
        return _rebuilt(grpc.unary_unary_rpc_method_handler, behaviour, handler)
    if handler.unary_stream:
        # Some handlers yield their responses, others (grpc's own health.Watch) write them.
        writes = inspect.iscoroutinefunction(handler.unary_stream)
        stream = (_unary if writes else _stream)(handler.unary_stream, method)
        return _rebuilt(grpc.unary_stream_rpc_method_handler, stream, handler)
    return handler


def _rebuilt(make: Callable[..., Any], behaviour: Unary | Stream, handler: Handler) -> Handler:
    return make(
        behaviour,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


def _unary(behaviour: Unary, method: str) -> Unary:
    async def wrapped(request: Any, context: Context) -> Any:
        try:
            return await behaviour(request, context)
        except Exception as error:
            await _abort(context, error, method)

    return wrapped


def _stream(behaviour: Stream, method: str) -> Stream:
    async def wrapped(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            async for response in behaviour(request, context):
                yield response
        except Exception as error:
            await _abort(context, error, method)

    return wrapped


async def _abort(context: Context, error: Exception, method: str) -> NoReturn:
    if isinstance(error, aio.AbortError):  # the handler has aborted already
        raise error
    if not isinstance(error, ServiceError):
        error_id = uuid.uuid4().hex[:12]
        log.error("internal error %s in %s", error_id, method, exc_info=error)
        error = Defect(error_id)
    status = to_status(error)
    rich: Any = rpc_status.to_status(status)
    await context.abort(error.status, status.message, (*rich.trailing_metadata, *_pushback(error)))


def to_status(error: ServiceError) -> Status:
    """The error as google.rpc.Status."""
    status = Status(code=error.status.value[0], message=error.message)
    for detail in error.details():
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _pushback(error: ServiceError) -> tuple[tuple[str, str], ...]:
    if error.retry_seconds is None:
        return ()
    return ((PUSHBACK, str(round(1000 * error.retry_seconds))),)
