"""Exceptions -> status, for every RPC of every service."""

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc import aio
from grpc_status import rpc_status
from rdserve.server.errors import InvalidRequest, UnknownMethod, pushback_ms
from rdserve.server.grpc_api.interceptors.base import (
    Behaviour,
    Context,
    Continuation,
    Handler,
    PerMethod,
    each,
    refusal,
    wrap,
)
from rdserve.server.observability import call_context
from rdserve.server.status import as_service_error, to_status

PUSHBACK = "grpc-retry-pushback-ms"


class ErrorsToStatus(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Handlers raise; callers see google.rpc.Status. A bug is INTERNAL with an id, its traceback logged."""

    def __init__(self) -> None:
        self._translated = PerMethod(_translated)

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        return self._translated(handler, method) if handler else refusal(partial(_unknown, method))


def _translated(handler: Handler, method: str) -> Handler:
    """The handler with its errors translated.

    It decodes the request itself: bytes that grpc's own aio server cannot decode are UNKNOWN to it.
    """
    decode = partial(_decode, handler.request_deserializer)

    async def around(behaviour: Behaviour, request: Any, context: Context) -> Any:
        try:
            given = each(request, decode) if handler.request_streaming else decode(request)
            return await behaviour(given, context)
        except Exception as error:
            await _abort(context, error, method)

    return wrap(handler, around, undecoded=True)


def _decode(deserialize: Callable[[bytes], Any] | None, request: bytes) -> Any:
    try:
        return deserialize(request) if deserialize else request
    except DecodeError:
        raise InvalidRequest(
            f"the {len(request)} bytes of the request are no message of this method", field="request"
        ) from None


async def _unknown(method: str, requests: object, context: Context) -> None:
    """Refuses a method that is not there, as every other error is told."""
    await _abort(context, UnknownMethod(method), method)


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
