"""How many bytes of messages may be on their way or here: the bound on what the front holds of them.

Sizes are not known in advance, so a message on its way counts as the largest that is allowed, and from its
arrival to the end of its call as what it is. Small ones are here within a millisecond and hardly ever wait.
Who waits longest is served last: in a flood of calls whose messages never come, one that has one is next.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import grpc
from grpc import aio
from rdserve.server.errors import InvalidRequest, Overloaded
from rdserve.server.grpc_api.interceptors.errors import (
    Context,
    Handler,
    PerMethod,
    behaviour_of,
    handler_like,
)
from rdserve.wire.limits import MAX_MESSAGE_BYTES, MIB


@dataclass(eq=False)
class _Message:
    """One on its way, or here. coming: where it can be given up; evicted: it was."""

    size: int = MAX_MESSAGE_BYTES
    begun: float = field(default_factory=monotonic)
    coming: "asyncio.Task[Any] | None" = None
    evicted: bool = False


class UploadAdmission(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Lets calls of methods that begin so send their messages; those without room wait, or are refused.

    most: how many of the largest messages there is room for.
    slow: seconds after which a message on its way gives way to calls that wait. Not the first half of them:
        grpc takes a message before any code of ours runs, which is quicker, and cannot be given up.
    patience: seconds that a call waits.
    """

    def __init__(self, prefix: str, most: int, *, slow: float = 2.0, patience: float = 10.0) -> None:
        self._prefix = prefix
        self._most = most
        self._slow = slow
        self._patience = patience
        self._messages: dict[_Message, None] = {}  # on their way, oldest first
        self._bytes = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._of_task: dict[asyncio.Task[Any], _Message] = {}
        self._taken_by_grpc = PerMethod(self._counted)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        if not handler_call_details.method.startswith(self._prefix):
            return handler
        if self._room() < 1 and not await self._turn():
            return grpc.stream_unary_rpc_method_handler(self._refuse)  # which waits for no message
        message = self._begin()
        if self._room() >= self._most / 2:
            return self._taken_by_grpc(handler, handler_call_details.method)
        return self._taken_here(handler, message)

    def _room(self) -> float:
        """For how many of the largest."""
        return self._most - self._bytes / MAX_MESSAGE_BYTES

    def _begin(self) -> _Message:
        message = _Message()
        self._messages[message] = None
        self._bytes += message.size
        task = asyncio.current_task()
        assert task is not None
        self._of_task[task] = message
        task.add_done_callback(self._ended)
        return message

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._arrived(self._of_task.pop(task), 0)

    def _arrived(self, message: _Message, size: int) -> None:
        """It is here, so large, or gone."""
        self._messages.pop(message, None)
        self._bytes += size - message.size
        message.size = size
        if self._waiting and self._room() >= 1:
            self._waiting.pop().set_result(None)

    async def _turn(self) -> bool:
        """Whether there was room before patience ended."""
        end = monotonic() + self._patience
        while self._room() < 1:
            now = monotonic()
            oldest = next((message for message in self._messages if message.coming), None)
            due = oldest.begun + self._slow if oldest else end
            if oldest and oldest.coming and due <= now:
                self._arrived(oldest, 0)
                oldest.evicted = oldest.coming.cancel()
            elif end <= now:
                return False
            else:
                await self._wait(min(due, end) - now)
        return True

    async def _wait(self, seconds: float) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await asyncio.wait([turn], timeout=seconds)
        if turn in self._waiting:
            self._waiting.remove(turn)

    def _counted(self, handler: Handler, method: str) -> Handler:
        """A handler that is called with its message."""
        kind, behaviour = behaviour_of(handler)

        def arrived(request: Any, context: Context) -> Any:
            task = asyncio.current_task()
            assert task is not None
            self._arrived(self._of_task[task], request.ByteSize())
            return behaviour(request, context)

        async def awaited(request: Any, context: Context) -> Any:
            return await arrived(request, context)

        return handler_like(handler, kind, awaited if inspect.iscoroutinefunction(behaviour) else arrived)

    def _taken_here(self, handler: Handler, message: _Message) -> Handler:
        """A handler that is called before its message is asked for: to grpc, one of a stream."""
        kind, behaviour = behaviour_of(handler)

        async def unary(requests: AsyncIterator[Any], context: Context) -> Any:
            return await behaviour(await self._take(message, requests), context)

        async def stream(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            async with aclosing(behaviour(await self._take(message, requests), context)) as responses:
                async for response in responses:
                    yield response

        if kind == "unary_unary":
            return handler_like(handler, "stream_unary", unary)
        # Some write their responses, as grpc's own health.Watch does.
        writes = inspect.iscoroutinefunction(behaviour)
        return handler_like(handler, "stream_stream", unary if writes else stream)

    async def _take(self, message: _Message, requests: AsyncIterator[Any]) -> Any:
        async def only() -> Any:
            found = None
            async for request in requests:  # to the end: until then grpc keeps a copy
                if found is not None:
                    raise InvalidRequest("several messages in a call that has one", field="request")
                found = request
            if found is None:
                raise InvalidRequest("the call ended without a message", field="request")
            return found

        message.coming = asyncio.create_task(only())
        try:
            request = await message.coming
        except asyncio.CancelledError:
            if message.evicted:
                raise self._full() from None
            raise
        finally:
            message.coming = None  # it holds what came
        self._arrived(message, request.ByteSize())
        return request

    async def _refuse(self, requests: object, context: Context) -> None:
        raise self._full()

    def _full(self) -> Overloaded:
        return Overloaded(
            f"{self._bytes / MIB:.0f} MiB of messages are here or on their way, at most "
            f"{self._most * MAX_MESSAGE_BYTES / MIB:.0f} may be"
        )
