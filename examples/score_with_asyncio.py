"""Score a data set that need not fit in memory, and single images. Usage: score_with_asyncio.py [ADDRESS]

Start a service first: make serve.
"""

import asyncio
import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from rdserve.client import AsyncClient
from rdserve.data import load


def batches(size: int = 64) -> Iterator[NDArray[np.bool_]]:
    """Batches (n, 8, 8) of the digits test images, in order; of data on a disk they would be read here."""
    images = load("digits", split="test").images
    yield from np.split(images, range(size, len(images), size))


async def main(address: str) -> None:
    """Print R and D of all images, and of the first eight, each asked for by a task of its own."""
    async with AsyncClient(address, coalesce=True) as client:
        model = next(model.name for model in await client.models() if not model.fault)
        n = rate = distortion = 0.0
        async for score in client.score_iter(model, batches()):
            n += len(score.rate_nats)
            rate += score.rate_nats.sum()
            distortion += score.distortion_nats.sum()
        print(f"{model}: R = {rate / n:.2f}, D = {distortion / n:.2f} nats per image")

        # These are under way at the same time, so the client sends them together.
        eight = next(batches(8))
        asked = (client.score(model, eight[i : i + 1], example_ids=np.array([i])) for i in range(8))
        for i, score in enumerate(await asyncio.gather(*asked)):
            print(f"image {i}: R = {score.rate_nats[0]:.2f}, D = {score.distortion_nats[0]:.2f} nats")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"))
