"""A whole set scored through the client, against the bare model doing the same."""

import asyncio
import time

import numpy as np
from numpy.typing import NDArray
from rdserve.client import Client
from rdserve.loadtest.requests import images
from rdserve.v1.vae_pb2 import NoiseKeys, ScoreRequest
from rdserve.v1.worker_pb2 import WorkRequest
from rdserve.wire import tensors

from benchmarks.routes import InProcess

# Rows of one call of the bare loop; what measured fastest for it.
LOOP_ROWS = 64


async def score_ratio(
    address: str, bare: InProcess, model: str, shape: tuple[int, int], n: int
) -> dict[str, float]:
    """Images per second of both, and the front's over the loop's.

    The loop does half of the set before the client's turn and half after, so that a drift cancels.
    """
    pixels = images(n, shape)
    half = n // 2
    before = await asyncio.to_thread(_loop, bare, model, pixels[:half])
    client = await asyncio.to_thread(_client, address, model, pixels)
    after = await asyncio.to_thread(_loop, bare, model, pixels[half:])
    loop = n / (before + after)
    return {"client": n / client, "in-process": loop, "ratio": n / client / loop}


def _client(address: str, model: str, pixels: NDArray[np.bool_]) -> float:
    with Client(address) as client:
        client.score(model, pixels[:1])
        start = time.perf_counter()
        score = client.score(model, pixels)
        seconds = time.perf_counter() - start
    assert np.isfinite(score.rate_nats).sum() == len(pixels)
    return seconds


def _loop(bare: InProcess, model: str, pixels: NDArray[np.bool_]) -> float:
    start = time.perf_counter()
    for at in range(0, len(pixels), LOOP_ROWS):
        part = pixels[at : at + LOOP_ROWS]
        noise = NoiseKeys(example_ids=range(at, at + len(part)))
        request = ScoreRequest(model=model, images=tensors.to_message(part), noise=noise)
        bare.work(model, WorkRequest(score=request).SerializeToString())
    return time.perf_counter() - start
