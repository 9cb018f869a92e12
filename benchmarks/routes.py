"""The ways beside the front: TorchServe by itself, and the bare model."""

import asyncio
from pathlib import Path

import torch
from grpc import aio
from rdserve.loadtest.load import Send
from rdserve.loadtest.requests import Bodies
from rdserve.loadtest.routes import OPTIONS, in_turn, over
from rdserve.models.worker.worker import Worker
from rdserve.server.backends.torchserve.http import UnixHttpClient

_PREDICTIONS = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"


class Native:
    """TorchServe's own gRPC, with the same archive behind it. `suffix` tells the batching it was given."""

    def __init__(self, address: str, suffix: str) -> None:
        self._channel = aio.insecure_channel(address, options=OPTIONS)
        self._suffix = suffix

    def sender(self, model: str, op: str, bodies: Bodies) -> Send:
        wrapped = tuple(predictions_request(model + self._suffix, body) for body in bodies.work)
        return over(self._channel, _PREDICTIONS, wrapped)


class Unmerged:
    """The calls that the front would make if it left all merging to TorchServe, made from here: an HTTP call
    for each request. The front's own gRPC would come on top."""

    def __init__(self, socket: Path, suffix: str) -> None:
        self._http = UnixHttpClient(socket)
        self._suffix = suffix

    def sender(self, model: str, op: str, bodies: Bodies) -> Send:
        path, each = f"/predictions/{model}{self._suffix}", in_turn(bodies.work)

        async def send(number: int) -> None:
            status, answer = await self._http.ask("POST", path, each(number))
            if status != 200:
                raise RuntimeError(f"TorchServe answered {status}: {answer[:200]!r}")

        return send


class InProcess:
    """The worker's code called directly, one request after the other: the model and nothing else."""

    def __init__(self, checkpoints: dict[str, Path], threads: int) -> None:
        torch.set_num_threads(threads)
        self._workers = {name: Worker.load(path) for name, path in checkpoints.items()}

    def work(self, model: str, body: bytes) -> bytes:
        """The serialized reply to one serialized WorkRequest."""
        return self._workers[model].work([body])[0]

    def sender(self, model: str, op: str, bodies: Bodies) -> Send:
        each = in_turn(bodies.work)

        async def send(number: int) -> None:
            self.work(model, each(number))
            await asyncio.sleep(0)

        return send


def predictions_request(model: str, body: bytes) -> bytes:
    """A serialized org.pytorch.serve.grpc.inference.PredictionsRequest {model_name: 1, input: 3 (a map)}.

    TorchServe publishes the schema in its repository, and neither stubs nor schema in its package.
    """
    entry = _field(1, b"body") + _field(2, body)
    return _field(1, model.encode()) + _field(3, entry)


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(value)) + value


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])
