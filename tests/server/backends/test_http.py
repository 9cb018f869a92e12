"""The lean HTTP connection against a real server on a Unix socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from rdserve.server.backends.torchserve.http import UnixHttpClient


@asynccontextmanager
async def served(socket: Path, handler: object) -> AsyncIterator[None]:
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/{tail:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def echo(request: web.Request) -> web.Response:
    facts = {"path": request.path, "token": request.headers["Authorization"]}
    return web.Response(
        body=await request.read(), headers=facts, status=int(request.query.get("status", 200))
    )


async def test_bodies_and_statuses_come_back_and_one_connection_serves_all(tmp_path: Path) -> None:
    peers = set()

    async def handler(request: web.Request) -> web.Response:
        peers.add(request.transport)
        return await echo(request)

    async with served(tmp_path / "s", handler):
        http = UnixHttpClient(tmp_path / "s", "secret")
        large = bytes(range(256)) * 2**14
        assert await http.ask("POST", "/predictions/m", large) == (200, large)
        assert await http.ask("POST", "/predictions/m?status=503", b"no") == (503, b"no")
        assert await http.ask("POST", "/predictions/m", b"") == (200, b"")
        http.close()
    assert len(peers) == 1


async def test_answers_in_chunks_and_at_once(tmp_path: Path) -> None:
    async def chunked(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for byte in await request.read():
            await answer.write(bytes([byte]))
        return answer

    async with served(tmp_path / "s", chunked):
        http = UnixHttpClient(tmp_path / "s", "secret")
        bodies = [bytes([n] * (n + 1)) for n in range(20)]
        answers = await asyncio.gather(*(http.ask("POST", "/m", body) for body in bodies))
        assert answers == [(200, body) for body in bodies]
        http.close()


async def test_a_call_given_up_does_not_leave_its_answer_to_the_next(tmp_path: Path) -> None:
    came, go = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        body = await request.read()
        if body == b"slow":
            came.set()
            await go.wait()
        return web.Response(body=body)

    async with served(tmp_path / "s", slow):
        http = UnixHttpClient(tmp_path / "s", "secret")
        given_up = asyncio.create_task(http.ask("POST", "/m", b"slow"))
        await came.wait()
        given_up.cancel()
        await asyncio.wait([given_up])
        go.set()
        assert [await http.ask("POST", "/m", body) for body in (b"a", b"b")] == [(200, b"a"), (200, b"b")]
        http.close()


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"\0garbage\r\n\r\n"]
)
async def test_a_broken_answer_is_a_connection_error_and_the_next_call_works(
    tmp_path: Path, answer: bytes
) -> None:
    answers = [answer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))
        writer.close()

    async with await asyncio.start_unix_server(serve, str(tmp_path / "s")):
        http = UnixHttpClient(tmp_path / "s", "secret")
        with pytest.raises(ConnectionError):
            await http.ask("POST", "/m", b"")
        assert await http.ask("POST", "/m", b"") == (200, b"ok")
        http.close()


async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await UnixHttpClient(tmp_path / "s", "secret").ask("POST", "/m", b"")
