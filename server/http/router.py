"""Which part answers which path."""

import contextlib
from typing import NoReturn

from google.protobuf.descriptor import ServiceDescriptor
from grpc import StatusCode, aio
from rdserve.server.errors import InvalidRequest
from rdserve.server.http import lines, pages
from rdserve.server.http.asgi import Receive, Scope, Send, media_type, respond
from rdserve.server.http.body import MAX_JSON_BYTES
from rdserve.server.http.call_context import CallContext
from rdserve.server.http.calls import Call, Calls
from rdserve.server.http.connect import Connect
from rdserve.server.http.failure import refusal
from rdserve.server.http.inference import InferenceRest
from rdserve.wire.limits import MAX_MESSAGE_BYTES

# Media types of requests, by whether the method streams its responses.
UNARY = (b"application/json", b"application/proto")
STREAM = (b"application/connect+json", b"application/connect+proto", b"application/json", lines.LINES)


class Router:
    """The application: a service's methods, the Open Inference Protocol, and pages."""

    def __init__(self, service: ServiceDescriptor, calls: Calls) -> None:
        self._prefix = f"/{service.full_name}/"
        self._connect = Connect(service)
        self._inference = InferenceRest(calls)
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path in pages.PAGES:
            await pages.show(scope, send)
        elif path.startswith(self._prefix):
            await self._call(scope, receive, send)
        elif path == "/v2" or path.startswith("/v2/"):
            await self._inference(scope, receive, send)
        else:
            await refusal(StatusCode.NOT_FOUND, "nothing is here; /docs lists what is").respond(send)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await respond(send, 405, b"text/plain", b"", [(b"allow", b"POST")])
            return
        streams = self._connect.streams(scope["path"])
        kinds, kind = STREAM if streams else UNARY, media_type(scope)
        if kind not in kinds:
            await respond(send, 415, b"text/plain", b"", [(b"accept-post", b", ".join(kinds))])
            return
        most = MAX_JSON_BYTES if b"json" in kind else MAX_MESSAGE_BYTES
        async with self._calls.begin(scope["path"], scope["headers"]) as call:
            await call.read(receive, scope["headers"], most)
            if streams is None:
                await _refuse(call, send)
            elif kind in (b"application/json", lines.LINES) and streams:
                await lines.answer(self._connect, call, scope, receive, send)
            else:
                await self._connect.answer(call, scope, receive, send)
            if not call.answered:
                await _count(call)


async def _refuse(call: Call, send: Send) -> None:
    """A call of a method that is not there."""
    context = CallContext()
    with contextlib.suppress(aio.AbortError):
        await call.answer(_nothing, context)
    assert context.failure is not None
    await context.failure.respond(send)


async def _count(call: Call) -> None:
    """The protocol itself was broken: that has been said, and counts as such a call over gRPC does."""
    with contextlib.suppress(aio.AbortError):
        await call.answer(_nothing, CallContext())


def _nothing() -> NoReturn:
    raise InvalidRequest("this is no request of the protocol", field="request")
