"""HTTP/1.1 over a Unix socket: every call to TorchServe, first of all the one that everybody waits for.

A request leaves in one write, with the headers that TorchServe needs and no others: it hands every header on
to its worker, which reads them one by one. A general client costs the front about 1 ms of processor time a
call and the frontend JVM as much again; see benchmarks/README.md.
"""

import asyncio
from pathlib import Path
from typing import cast

import httptools

Answer = tuple[int, bytes]


class _Connection(asyncio.Protocol):
    """One request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.usable = True
        self._answer: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []

    async def ask(self, request: bytes) -> Answer:
        """The status and body of the answer. Raises ConnectionError."""
        self._answer = asyncio.get_running_loop().create_future()
        self._body = []
        self.transport.write(request)
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.transport.abort()  # its answer would be taken for the next request's
            raise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"the answer is no HTTP: {error}"))
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(ConnectionError("the connection was closed before the answer came"))

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.usable = self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), b"".join(self._body)))

    def _fail(self, error: ConnectionError) -> None:
        self.usable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class UnixHttpClient:
    """Asks the server behind a Unix socket. Connections are kept, as many as were ever needed at once."""

    def __init__(self, socket: Path, token: str = "") -> None:
        self._socket = socket
        self._headers = (
            "Host: torchserve\r\n"
            + (f"Authorization: Bearer {token}\r\n" if token else "")
            + "Content-Type: application/octet-stream\r\nContent-Length: "
        )
        self._idle: list[_Connection] = []

    async def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """The status and body of the answer.

        Raises:
            OSError: nobody listens, or the connection broke.
        """
        connection = await self._connection()
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}{len(body)}\r\n\r\n"
        answer = await connection.ask(head.encode() + body)
        if connection.usable:
            self._idle.append(connection)
        else:
            connection.transport.close()
        return answer

    def close(self) -> None:
        """Hang up what is idle."""
        for connection in self._idle:
            connection.transport.close()
        self._idle.clear()

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_unix_connection(_Connection, str(self._socket))
        return connection
