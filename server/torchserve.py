"""The TorchServe backend: models registered with, and called through, a private frontend."""

import asyncio
import json
import logging
import shutil
import tempfile
from http import HTTPStatus
from pathlib import Path

import aiohttp
from rdserve.server.archive import SUFFIX, Archive, ArchiveError
from rdserve.server.backends import LoadError
from rdserve.server.errors import BackendUnavailable
from rdserve.server.java import Java
from rdserve.server.settings import Settings

log = logging.getLogger(__name__)

_LATER = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.NOT_FOUND)


class TorchServe:
    """One frontend over HTTP on a Unix socket. It is started, used and stopped by this process alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # TorchServe ends a call that takes too long, and its worker with it; this is for when it does not.
        self._timeout = aiohttp.ClientTimeout(total=settings.response_timeout_seconds + 10)
        self._folder = Path(tempfile.mkdtemp(prefix="rdserve-ts-"))
        self._store = self._folder / "store"
        self._java = Java(self._folder, self._store, settings)
        self._management: aiohttp.ClientSession | None = None
        self._inference: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._store.mkdir()
        await self._java.start()
        keys = json.loads((self._folder / "key_file.json").read_text())
        self._management = _connect(self._java.management_socket, keys["management"]["key"])
        self._inference = _connect(self._java.inference_socket, keys["inference"]["key"])

    async def load(self, archive: Archive) -> None:
        try:
            await asyncio.to_thread(archive.copy_into, self._store)
        except (ArchiveError, OSError) as error:
            raise LoadError(str(error)) from error
        parameters: dict[str, str | int] = {
            "url": f"{archive.card.name}{SUFFIX}",
            "model_name": archive.card.name,
            "initial_workers": self._settings.workers,
            "synchronous": "true",
            "batch_size": 1,
            # The front merges; and only this call can say 0, a configuration file cannot.
            "max_batch_delay": 0,
            "startup_timeout": self._settings.load_timeout_seconds,
            "response_timeout": self._settings.response_timeout_seconds,
        }
        timeout = aiohttp.ClientTimeout(total=self._settings.load_timeout_seconds)
        assert self._management is not None, "start() comes first"
        try:
            async with self._management.post("/models", params=parameters, timeout=timeout) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LoadError(f"TorchServe did not load it: {type(error).__name__} {error}") from error
        if answer.status != HTTPStatus.OK:
            raise LoadError(f"TorchServe did not load it: {_message(body)}")

    async def call(self, model: str, work: bytes) -> bytes:
        assert self._inference is not None, "start() comes first"
        try:
            async with self._inference.post(
                f"/predictions/{model}", data=work, timeout=self._timeout
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BackendUnavailable(f"model {model!r}: no answer from TorchServe") from error
        if answer.status == HTTPStatus.OK:
            return body
        raise _failure(model, answer.status, _message(body))

    async def stop(self) -> None:
        for session in (self._inference, self._management):
            if session is not None:
                await session.close()
        await self._java.stop()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


def _connect(socket: Path, key: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        base_url="http://torchserve",
        connector=aiohttp.UnixConnector(str(socket), limit=0),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/octet-stream"},
    )


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def _failure(model: str, status: int, message: str) -> Exception:
    if status in _LATER or "Worker died" in message:
        return BackendUnavailable(f"model {model!r}: {message}")
    return RuntimeError(f"TorchServe answered {status} for model {model!r}: {message}")
