"""A connection that does not wait for ever: what uvicorn leaves to a proxy in front of it."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# For a request's head, TLS included; for the rest of a body that nobody wants any more; for a peer that
# takes nothing of its answer.
HEAD_SECONDS = 10.0
LINGER_SECONDS = 2.0
STALL_SECONDS = 300.0
MAX_HEAD_BYTES = 2**15
# That asyncio reads at once: of other messages too, where one follows another unasked.
READ_BYTES = 2**18
MAX_CONNECTIONS = 2048


class BoundedConnection(HttpToolsProtocol):
    """One HTTP/1.1 connection, within these bounds."""

    _late: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    # Of the request that is coming: whether some of its head is here, and not all; or some of its body.
    _in_head = False
    _in_body = False
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        self._close_after(HEAD_SECONDS)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing() or self._in_body:
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES + READ_BYTES:
                self.send_400_response("The head of the request is too large.")
        if self.cycle is None or self.cycle.response_complete:
            self._close_after(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > MAX_HEAD_BYTES:
            raise ValueError("the head is too large")
        self._in_head, self._in_body = False, True
        self._keep()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._keep()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body:
            self._close_after(LINGER_SECONDS)
        elif self._in_head:
            self._close_after(HEAD_SECONDS)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._keep()
        if self._stalled:
            self._stalled.cancel()
        super().connection_lost(exc)

    def _close_after(self, seconds: float) -> None:
        if self._late is None:
            self._late = self.loop.call_later(seconds, self.transport.close)

    def _keep(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
