"""The TorchServe backend: models registered with, and called through, a private frontend."""

import asyncio
import json
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from prometheus_client.registry import Collector
from rdserve.server.backends.base import LoadError, OnDown
from rdserve.server.backends.torchserve.config import socket
from rdserve.server.backends.torchserve.http import UnixHttpClient
from rdserve.server.backends.torchserve.metrics import TorchServeMetrics
from rdserve.server.backends.torchserve.process import TorchServeProcess
from rdserve.server.backends.torchserve.workers import Workers
from rdserve.server.errors import BackendUnavailable
from rdserve.server.repository.archive import SUFFIX, Archive, ArchiveError, open_archive
from rdserve.server.scratch import Scratch
from rdserve.server.settings import Settings
from rdserve.server.worker_protocol import OnLoss

log = logging.getLogger(__name__)

_LATER = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.NOT_FOUND)
_READY = "READY"
_WORKER_DIED = "Worker died"
_HANDLER_RAISED = "Prediction failed"


class TorchServeBackend:
    """One frontend over HTTP on a Unix socket. It is started, used and stopped by this process alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._on_down: OnDown = lambda reason: None
        self._on_loss: OnLoss = lambda model, error: None
        # TorchServe ends a call that takes too long, and its worker with it; this is for when it does not.
        self._patience = settings.response_timeout_seconds + 10
        self._scratch = Scratch("rdserve-ts-")
        self._folder = self._scratch.folder
        self._store = self._folder / "store"
        self._process = TorchServeProcess(self._folder, self._store, settings, self._ended)
        self._workers = Workers(settings, self._ready_workers, self._process.failures, self._worker_ended)
        self._starting = asyncio.Lock()
        self._management: UnixHttpClient | None = None
        self._inference: UnixHttpClient | None = None

    def subscribe(self, on_down: OnDown, on_loss: OnLoss) -> None:
        """Tell why a frontend ended that was not told to, and `load` starts another; and at once of a model
        whose worker ended, whether or not it had a call, and the frontend starts another."""
        self._on_down, self._on_loss = on_down, on_loss

    def collectors(self) -> Sequence[Collector]:
        return (TorchServeMetrics(socket(self._folder, "metrics")),)

    async def start(self) -> None:
        self._store.mkdir(exist_ok=True)
        await self._process.start()
        keys = json.loads((self._folder / "key_file.json").read_text())
        self._management = UnixHttpClient(socket(self._folder, "management"), keys["management"]["key"])
        self._inference = UnixHttpClient(socket(self._folder, "inference"), keys["inference"]["key"])

    async def load(self, archive: Archive) -> None:
        await self._revive()
        name = archive.card.name
        try:
            await asyncio.to_thread(self._stage, archive)
        except (ArchiveError, OSError) as error:
            raise LoadError(str(error)) from error
        await self._unregister(name)
        await self._manage("POST", "/models", HTTPStatus.ACCEPTED, **self._registration(archive))
        try:
            await self._workers.until_up(name)
        except LoadError:
            # Or TorchServe goes on trying.
            await self._unregister(name)
            raise

    async def healed(self, model: str) -> None:
        await self._workers.until_up(model, patience=self._settings.probe_timeout_seconds)

    async def _unregister(self, name: str) -> None:
        self._workers.forget(name)
        await self._manage("DELETE", f"/models/{name}", HTTPStatus.NOT_FOUND)

    def _stage(self, archive: Archive) -> None:
        """Put the archive where TorchServe reads it, unless a sound copy lies there already: the original
        may have gone or changed since."""
        try:
            staged = open_archive(self._store / f"{archive.card.name}{SUFFIX}").card == archive.card
        except ArchiveError:
            staged = False
        if not staged:
            archive.copy_into(self._store)

    async def _ready_workers(self, name: str) -> list[int]:
        """Process ids of those that TorchServe takes for ready."""
        (model,) = await self._manage("GET", f"/models/{name}")
        return [worker["pid"] for worker in model["workers"] if worker["status"] == _READY]

    def _worker_ended(self, name: str) -> None:
        self._on_loss(name, BackendUnavailable(f"model {name!r}: its worker ended", worker_ended=True))

    def _registration(self, archive: Archive) -> dict[str, str | int]:
        return {
            "url": f"{archive.card.name}{SUFFIX}",
            "model_name": archive.card.name,
            "initial_workers": self._settings.workers,
            # To wait for the workers would block one of the few threads that serve all the models.
            "synchronous": "false",
            "batch_size": 1,
            # The front merges; and only this call can say 0, a configuration file cannot.
            "max_batch_delay": 0,
            "startup_timeout": self._settings.load_timeout_seconds,
            "response_timeout": self._settings.response_timeout_seconds,
        }

    async def _revive(self) -> None:
        """Start the frontend again where it has ended, or says nothing."""
        async with self._starting:
            try:
                async with asyncio.timeout(self._settings.probe_timeout_seconds):
                    await self._manage("GET", "/models", limit=1)
                return
            except (LoadError, TimeoutError) as error:
                log.error("TorchServe does not answer (%s); starting it again", error or "no answer")
            self._disconnect()
            self._process.kill()
            try:
                await self.start()
            except (RuntimeError, OSError) as error:
                raise LoadError(str(error)) from error

    async def _manage(self, method: str, path: str, *also_fine: HTTPStatus, **parameters: str | int) -> Any:
        """One call of the management API. Raises LoadError unless it answers OK, or one of `also_fine`."""
        if self._management is None:
            raise LoadError("TorchServe is not running")
        try:
            async with asyncio.timeout(self._settings.load_timeout_seconds):
                status, body = await self._management.ask(method, f"{path}?{urlencode(parameters)}")
        except OSError as error:  # TimeoutError is one
            raise LoadError(f"TorchServe did not load it: {type(error).__name__} {error}") from error
        if status not in (HTTPStatus.OK, *also_fine):
            raise LoadError(f"TorchServe did not load it: {_message(body)}")
        return json.loads(body)

    async def call(self, model: str, work: bytes) -> bytes:
        if self._inference is None:
            raise BackendUnavailable("TorchServe is not running")
        try:
            async with asyncio.timeout(self._patience):
                status, body = await self._inference.ask("POST", f"/predictions/{model}", work)
        except OSError as error:  # TimeoutError is one
            raise BackendUnavailable(f"model {model!r}: no answer from TorchServe") from error
        if status == HTTPStatus.OK:
            return body
        raise _failure(model, status, _message(body))

    async def stop(self, *, within: float = 10.0) -> None:
        self._disconnect()
        await self._process.stop(within)
        await asyncio.to_thread(self._scratch.remove)

    def kill(self) -> None:
        self._process.kill()
        self._scratch.remove()

    def _disconnect(self) -> None:
        self._workers.forget_all()
        for client in filter(None, (self._inference, self._management)):
            client.close()
        self._inference = self._management = None

    def _ended(self, last_words: str) -> None:
        self._workers.forget_all()
        log.error("TorchServe ended; its last words: %s", last_words)
        self._on_down("TorchServe ended and is started again")


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def _failure(model: str, status: int, message: str) -> Exception:
    if _WORKER_DIED in message:
        return BackendUnavailable(f"model {model!r}: its worker died", worker_ended=True)
    if status in _LATER and message != _HANDLER_RAISED:
        return BackendUnavailable(f"model {model!r}: {message}")
    return RuntimeError(f"TorchServe answered {status} for model {model!r}: {message}")
