"""The requests that are sent: random binary images, serialized beforehand so that no path pays for it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.v1.vae_pb2 import EncodeRequest, NoiseKeys, ReconstructRequest, ScoreRequest
from rdserve.v1.worker_pb2 import WorkRequest
from rdserve.wire import tensors

OPS = ("encode", "score", "reconstruct")
_KINDS: dict[str, Any] = {"encode": EncodeRequest, "score": ScoreRequest, "reconstruct": ReconstructRequest}
# Different requests in turn, so that nothing along the way could answer from memory.
N_BODIES = 32


@dataclass(frozen=True)
class Bodies:
    """The same requests for the front, and for the workers behind TorchServe."""

    public: tuple[bytes, ...]
    work: tuple[bytes, ...]


def images(n: int, shape: tuple[int, int], seed: int = 0) -> NDArray[np.bool_]:
    """(n, H, W) random binary images."""
    return np.random.default_rng(seed).random((n, *shape)) < 0.3


def parsed(op: str, body: bytes) -> dict[str, Any]:
    """A request's images, seed and example ids, as the client takes them."""
    request = _KINDS[op].FromString(body)
    noise = request.noise
    ids = np.array(noise.example_ids, np.uint64)
    return {"images": tensors.to_array(request.images), "seed": noise.seed, "example_ids": ids}


def bodies(model: str, op: str, rows: int, shape: tuple[int, int]) -> Bodies:
    """N_BODIES requests of `rows` images each."""
    requests = [
        _KINDS[op](
            model=model,
            images=tensors.to_message(images(rows, shape, seed)),
            noise=NoiseKeys(seed=seed, example_ids=range(rows)),
        )
        for seed in range(N_BODIES)
    ]
    return Bodies(
        tuple(request.SerializeToString() for request in requests),
        tuple(WorkRequest(**{op: request}).SerializeToString() for request in requests),
    )
