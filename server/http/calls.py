"""HTTP requests as calls: through the interceptors that gRPC's go through, under the same bound.

A handler's request is here a function that makes the message, so that whatever is wrong with it is raised
inside the interceptors, which count it and translate it as they do for gRPC.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from operator import call
from typing import Any, NamedTuple

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from grpc import aio
from rdserve.server.errors import StatusError
from rdserve.server.grpc_api.interceptors.base import KINDS, Handler
from rdserve.server.grpc_api.interceptors.upload_room import Upload, UploadRoom
from rdserve.server.http import body
from rdserve.server.http.asgi import ClientGone, Headers, Receive
from rdserve.server.http.call_context import CallContext
from rdserve.server.observability.call_context import REQUEST_ID
from rdserve.wire import tracing

# What interceptors read of a request's headers.
METADATA = frozenset(name.encode() for name in ("authorization", REQUEST_ID, tracing.HEADER))

Decode = Callable[[], Message]


class CallDetails(NamedTuple):
    """As grpc.HandlerCallDetails."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...]


def handlers(service: ServiceDescriptor, servicer: object) -> dict[str, Handler]:
    """Path -> handler, of every method of a service."""
    return {
        f"/{service.full_name}/{method.name}": KINDS[False, method.server_streaming](
            getattr(servicer, method.name), request_deserializer=call
        )
        for method in service.methods
    }


class Calls:
    """Makes a call of a request. interceptors: from the outermost; room: the bound on messages."""

    def __init__(
        self,
        interceptors: "Sequence[aio.ServerInterceptor[Any, Any]]",
        room: UploadRoom,
        handlers: dict[str, Handler],
    ) -> None:
        async def innermost(details: CallDetails) -> Handler:
            return handlers.get(details.method)

        self._room = room
        self._handler: Callable[[CallDetails], Any] = innermost
        for each in reversed(interceptors):
            self._handler = partial(each.intercept_service, self._handler)

    @contextlib.asynccontextmanager
    async def begin(self, method: str, headers: Headers) -> AsyncIterator["Call"]:
        """A call of that method; it is over when the block ends, and the task that it is in soon after."""
        handler = await self._handler(CallDetails(method, tuple(_metadata(headers))))
        begun = Call(handler, self._room)
        try:
            yield begun
        finally:
            begun.leave()


class Call:
    """One call: its body is read, then it is answered.

    body: what was read. fault: why it could not be; `answer` raises it in the message's place.
    """

    def __init__(self, handler: Handler, room: UploadRoom) -> None:
        self.body = b""
        self.fault: StatusError | None = None
        self.answered = False
        self._behaviour = handler.unary_unary or handler.unary_stream or handler.stream_stream
        # It is refused whatever its message says.
        self._refused = handler.request_streaming
        self._room = room
        self._upload: Upload | None = None

    async def read(self, receive: Receive, headers: Headers, most: int) -> None:
        """Read the body, once there is room for it.

        Raises ClientGone: there is nobody to answer.
        """
        if self._refused:
            return
        try:
            async with asyncio.timeout(body.SECONDS):
                self._upload = await self._room.enter()
                coming = body.read_body(receive, headers, most)
                self.body = await self._room.take(self._upload, coming)
        except TimeoutError:
            self.fault = body.too_late()
        except StatusError as error:
            self.fault = error

    def take_body(self) -> bytes:
        """What was read; from here on it is the taker's, so that nobody keeps it beside the message."""
        taken, self.body = self.body, b""
        return taken

    async def answer(self, decode: Decode, context: CallContext) -> Any:
        """The response, or nothing where responses are written to the context.

        Raises aio.AbortError: the context says why.
        """
        self.answered = True
        return await self._behaviour(partial(self._message, decode), context)

    def leave(self) -> None:
        """Its message is gone."""
        if self._upload is not None:
            self._room.leave(self._upload)
            self._upload = None

    def _message(self, decode: Decode) -> Message:
        if self.fault is not None:
            raise self.fault
        message = decode()
        if self._upload is not None:
            self._room.arrive(self._upload, message.ByteSize())
        return message


async def until_gone(receive: Receive) -> None:
    """Return when the other side has hung up; its body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def watched(receive: Receive, work: Any) -> Any:
    """What `work` returns; it is cancelled, and ClientGone raised, where the other side hangs up."""
    working, gone = asyncio.create_task(work), asyncio.create_task(until_gone(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


def _metadata(headers: Headers) -> Iterable[tuple[str, str]]:
    return ((name.decode(), value.decode("latin-1")) for name, value in headers if name in METADATA)
