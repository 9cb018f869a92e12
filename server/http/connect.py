"""Connect: every method as a POST of JSON or binary protobuf, streams in envelopes.

connectrpc speaks the protocol (https://connectrpc.com/docs/protocol); what it gets is a body that has been
read, and what decodes and answers it is a `Call`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import aio
from protobuf.wkt import Any as Packed
from rdserve.server.http.asgi import Event, Receive, Scope, Send
from rdserve.server.http.call_context import CallContext
from rdserve.server.http.calls import Call
from rdserve.server.http.failure import Failure
from rdserve.server.http.json_codec import decode_binary, decode_json, encode_binary, encode_json
from rdserve.server.observability import call_context
from rdserve.server.observability.call_context import REQUEST_ID
from rdserve.wire.limits import MAX_MESSAGE_BYTES

# Larger answers are encoded in a thread, so that others are answered meanwhile.
LARGE_BYTES = 2**16
# Messages that wait for a caller who does not read.
WAITING = 2
# What connectrpc reads. It may unpack bodies; it is not asked to pack answers, which would keep the loop.
PASSED = frozenset((b"content-type", b"connect-protocol-version", b"connect-timeout-ms"))
ENCODINGS = frozenset((b"content-encoding", b"connect-content-encoding"))

_CALL: ContextVar[Call] = ContextVar("call")


class Codec(NamedTuple):
    """Connect's name of an encoding; bytes to messages and back."""

    kind: str
    read: Callable[[bytes, type[Message]], Message]
    write: Callable[[Message], bytes]

    def name(self) -> str:
        return self.kind

    def decode(self, data: bytes | bytearray, message_class: type[Message]) -> "Undecoded":
        return Undecoded(bytes(data), message_class, self)

    def encode(self, answer: bytes) -> bytes:
        return answer

    async def encoded(self, message: Message) -> bytes:
        if message.ByteSize() > LARGE_BYTES:
            return await asyncio.to_thread(self.write, message)
        return self.write(message)


@dataclass
class Undecoded:
    """A request that is decoded where errors are told, once."""

    data: bytes
    kind: type[Message]
    codec: Codec

    def decode(self) -> Message:
        data, self.data = self.data, b""
        return self.codec.read(data, self.kind)


CODECS = (Codec("json", decode_json, encode_json), Codec("proto", decode_binary, encode_binary))


class Connect:
    """The methods of a service, as an ASGI application for calls whose bodies have been read."""

    def __init__(self, service: ServiceDescriptor) -> None:
        self._streams = {f"/{service.full_name}/{m.name}": m.server_streaming for m in service.methods}
        self._app = _Application(
            service=None,
            endpoints=lambda _: dict(map(_endpoint, service.methods)),
            read_max_bytes=MAX_MESSAGE_BYTES,
            codecs=CODECS,
        )

    def streams(self, path: str) -> bool | None:
        """Whether the method of this path streams its responses; None where there is none."""
        return self._streams.get(path)

    async def answer(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call whose body has been read."""
        if call.fault is not None:  # whatever has the form of a request gets as far as the error
            call.body = bytes(5) if self._streams[scope["path"]] else b""
        kept = PASSED if call.fault is not None else PASSED | ENCODINGS
        headers = [(name, value) for name, value in scope["headers"] if name in kept and value.isascii()]
        _CALL.set(call)
        await self._app({**scope, "headers": headers}, _replay(call, receive), send)


class _Application(ConnectASGIApplication[None]):
    @property
    def path(self) -> str:
        return "/"


def _replay(call: Call, receive: Receive) -> Receive:
    """The call's body in one event, then what comes."""
    told = False

    async def again() -> Event:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": call.take_body(), "more_body": False}

    return again


def _endpoint(method: MethodDescriptor) -> tuple[str, Any]:
    service = method.containing_service.full_name
    kind = StreamType.SERVER_STREAM if method.server_streaming else StreamType.UNARY
    classes = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    info: Any = MethodInfo(
        name=method.name,
        service_name=service,
        input=classes[0],
        output=classes[1],
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=kind,
    )
    made = Endpoint.server_stream(info, _stream) if method.server_streaming else Endpoint.unary(info, _unary)
    return f"/{service}/{method.name}", made


async def _unary(request: Undecoded, ctx: "RequestContext[Any, Any]") -> bytes:
    context = CallContext(_left(ctx))
    try:
        answer = await _CALL.get().answer(request.decode, context)
    except aio.AbortError:
        raise _error(context.failure) from None
    finally:
        for name, value in context.headers():
            ctx.response_headers.add(name, value)
    return await request.codec.encoded(answer)


async def _stream(request: Undecoded, ctx: "RequestContext[Any, Any]") -> AsyncIterator[bytes]:
    messages: asyncio.Queue[bytes | None] = asyncio.Queue()
    room = asyncio.Semaphore(WAITING)

    async def write(message: Message) -> None:
        await room.acquire()
        messages.put_nowait(await request.codec.encoded(message))

    context = CallContext(_left(ctx), write)
    ctx.response_headers[REQUEST_ID] = call_context.request_id()
    work = asyncio.create_task(_CALL.get().answer(request.decode, context))
    work.add_done_callback(lambda _: messages.put_nowait(None))
    try:
        while (message := await messages.get()) is not None:
            room.release()
            yield message
        await work
    except aio.AbortError:
        raise _error(context.failure) from None
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        # Of these the headers count where nothing has been sent, the trailers always.
        for name, value in context.headers():
            ctx.response_headers[name] = ctx.response_trailers[name] = value


def _left(ctx: "RequestContext[Any, Any]") -> float | None:
    return None if ctx.timeout_ms is None else ctx.timeout_ms / 1000


def _error(failure: Failure | None) -> ConnectError:
    assert failure is not None
    details = [ErrorDetail(Packed(type_url=d.type_url, value=d.value)) for d in failure.status.details]
    return ConnectError(Code(failure.name), failure.status.message, details)
