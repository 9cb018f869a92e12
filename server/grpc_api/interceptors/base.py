"""Handlers of any kind, wrapped in one way.

To what wraps it, every handler is one coroutine: it takes a request, or an iterator of them, and returns its
response; where it streams responses it writes them to the context and returns nothing.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from grpc import aio

# Handlers that are kept; the service has a quarter of these.
MAX_METHODS = 50

Context = aio.ServicerContext[Any, Any]
Handler = Any  # grpc.RpcMethodHandler, which is generic in the stubs only
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]
Behaviour = Callable[[Any, Context], Awaitable[Any]]
# around(behaviour, request, context): calls the behaviour, and returns what it returns.
Around = Callable[[Behaviour, Any, Context], Awaitable[Any]]

KINDS: dict[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def wrap(handler: Handler, around: Around, *, streamed: bool = False, undecoded: bool = False) -> Handler:
    """The handler with `around` around every call.

    streamed: it is called before its message is asked for, with an iterator in the request's place.
    undecoded: it gets bytes in the request's place.
    """
    behaviour = _behaviour(handler)

    async def wrapped(request: Any, context: Context) -> Any:
        return await around(behaviour, request, context)

    return KINDS[streamed or handler.request_streaming, handler.response_streaming](
        wrapped,
        request_deserializer=None if undecoded else handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


def refusal(refuse: Callable[[Any, Context], Awaitable[None]]) -> Handler:
    """A handler for a call of any kind that is not to be answered; one of a stream waits for no message."""
    return grpc.stream_stream_rpc_method_handler(refuse)


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


def _behaviour(handler: Handler) -> Behaviour:
    """The function that answers, as a coroutine function: one that yields its responses writes them instead.

    Were it to yield, a client that leaves between two of them would go unseen.
    """
    found = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    if inspect.iscoroutinefunction(found):  # grpc's own health.Watch writes its responses already
        return found  # type: ignore[no-any-return]

    async def written(request: Any, context: Context) -> None:
        async with aclosing(found(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return written


async def each(requests: AsyncIterator[Any], do: Callable[[Any], Any]) -> AsyncIterator[Any]:
    """What `do` makes of each request, as it comes."""
    async for request in requests:
        yield do(request)
