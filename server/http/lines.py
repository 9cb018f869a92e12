"""Streams for those who have no envelopes: `application/json` in, a line of JSON for each message out.

It is Connect's stream with the envelopes taken off. An error before the first message has an HTTP status, one
after it is the last line, {"error": ...}.
"""

import json
import struct

from rdserve.server.http.asgi import JSON, Event, Receive, Scope, Send, respond
from rdserve.server.http.calls import Call
from rdserve.server.http.connect import Connect
from rdserve.server.http.failure import HTTP_STATUS

LINES = b"application/x-ndjson"
ENVELOPED = (b"content-type", b"application/connect+json")
ENVELOPE = struct.Struct(">BI")
END = 2
_BY_NAME = {code.name.lower(): status for code, status in HTTP_STATUS.items()}


async def answer(connect: Connect, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a call of a streaming method, whose body is one JSON object."""
    others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    call.body = ENVELOPE.pack(0, len(call.body)) + call.body
    lines = _Lines(send)
    await connect.answer(call, {**scope, "headers": [*others, ENVELOPED]}, receive, lines.take)


class _Lines:
    """Takes the events of an answer in envelopes, one in each, and sends lines."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Event | None = None

    async def take(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            self._start = event
            return
        flags, _ = ENVELOPE.unpack_from(event["body"])
        message = event["body"][ENVELOPE.size :]
        if not flags & END:
            await self._begin()
            await self._line(message, more=True)
            return
        error = json.loads(message).get("error")
        if error and self._start is not None:
            headers = [pair for pair in self._start["headers"] if pair[0] not in _OWN]
            status = _BY_NAME.get(error["code"], 499 if error["code"] == "canceled" else 500)
            await respond(self._send, status, JSON, json.dumps(error).encode(), headers)
            return
        await self._begin()
        await self._line(json.dumps({"error": error}).encode() if error else b"", more=False)

    async def _begin(self) -> None:
        if self._start is None:
            return
        kept = [pair for pair in self._start["headers"] if pair[0] not in _OWN]
        await self._send({**self._start, "headers": [(b"content-type", LINES), *kept]})
        self._start = None

    async def _line(self, message: bytes, *, more: bool) -> None:
        line = message + b"\n" if message else b""
        await self._send({"type": "http.response.body", "body": line, "more_body": more})


# Of the stream in envelopes, not of the answer.
_OWN = (b"content-type", b"connect-content-encoding")
