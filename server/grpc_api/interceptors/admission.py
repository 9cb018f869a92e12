"""No message is taken from the network for which there is no room.

While half of the room is free grpc reads a message, before any code of ours runs: that is quicker, and cannot
be given up. Beyond, it is read here, and can be.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
from grpc import aio
from rdserve.server.errors import InvalidRequest, Overloaded
from rdserve.server.grpc_api.interceptors.base import (
    Behaviour,
    Context,
    Continuation,
    Handler,
    PerMethod,
    refusal,
    wrap,
)
from rdserve.server.grpc_api.interceptors.upload_room import Upload, UploadRoom


class UploadAdmission(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Lets calls of methods that begin so send their messages; those without room wait, or are refused.

    prefix: one, or several whose methods share the room. most: how many of the largest messages there is
        room for.
    slow: seconds after which a message that is read here gives way to calls that wait.
    patience: seconds that a call waits.
    """

    def __init__(
        self, prefix: str | tuple[str, ...], most: int, *, slow: float = 2.0, patience: float = 10.0
    ) -> None:
        self._prefix = prefix
        self.room = self._room = UploadRoom(most, slow=slow, patience=patience)
        self._of_task: dict[asyncio.Task[Any], Upload] = {}
        self._read_by_grpc = PerMethod(lambda handler, method: wrap(handler, self._arrived))

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        handler, method = await continuation(handler_call_details), handler_call_details.method
        if handler is None or handler.request_streaming or not method.startswith(self._prefix):
            return handler
        try:
            upload = await self._room.enter()
        except Overloaded:
            return refusal(self._refuse)
        self._of_task[task := _this_task()] = upload
        task.add_done_callback(self._ended)
        if self._room.free >= self._room.most / 2:
            return self._read_by_grpc(handler, method)
        return wrap(handler, partial(self._read, upload), streamed=True)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._room.leave(self._of_task.pop(task))

    async def _arrived(self, behaviour: Behaviour, request: Any, context: Context) -> Any:
        self._room.arrive(self._of_task[_this_task()], request.ByteSize())
        return await behaviour(request, context)

    async def _read(
        self, upload: Upload, behaviour: Behaviour, requests: AsyncIterator[Any], context: Context
    ) -> Any:
        return await behaviour(await self._take(upload, requests), context)

    async def _take(self, upload: Upload, requests: AsyncIterator[Any]) -> Any:
        request = await self._room.take(upload, _only(requests))
        self._room.arrive(upload, request.ByteSize())
        return request

    async def _refuse(self, requests: object, context: Context) -> None:
        raise self._room.full


async def _only(requests: AsyncIterator[Any]) -> Any:
    """The one message of a call that has one."""
    found = None
    async for request in requests:  # to the end: until then grpc keeps a copy
        if found is not None:
            raise InvalidRequest("several messages in a call that has one", field="request")
        found = request
    if found is None:
        raise InvalidRequest("the call ended without a message", field="request")
    return found


def _this_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    assert task is not None
    return task
