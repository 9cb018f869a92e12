"""An HTTP endpoint that scores images, for example to flag what a model finds unlikely.

    pip install "fastapi[standard]"
    RDSERVE_AT=localhost:50051 fastapi run examples/score_in_fastapi.py
    curl localhost:8000/models/MODEL/score --json '{"pixels": [[0, 1], [1, 0]]}'

One client for all requests: those that are under way at the same time travel to the service together.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from rdserve.client import AsyncClient, InputError, InvalidArgument, NotFound, Unavailable

client = AsyncClient(os.environ.get("RDSERVE_AT", "localhost:50051"), coalesce=True, timeout=10)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The client's connection ends with the application."""
    async with client:
        yield


app = FastAPI(lifespan=lifespan)


class Image(BaseModel):
    """pixels: (H, W), 0 or 1. id: names the noise, so that the same image and id get the same score."""

    pixels: list[list[int]]
    id: int = 0


class Nats(BaseModel):
    """Of one image."""

    rate: float
    distortion: float


@app.post("/models/{model}/score")
async def score(model: str, image: Image) -> Nats:
    """Rate and distortion of an image under a model, in nats."""
    try:
        found = await client.score(model, [image.pixels], example_ids=np.array([image.id]))
    except NotFound as error:
        raise HTTPException(404, str(error)) from error
    except (InputError, InvalidArgument) as error:
        raise HTTPException(422, str(error)) from error
    except Unavailable as error:
        raise HTTPException(503, str(error)) from error
    return Nats(rate=found.rate_nats[0], distortion=found.distortion_nats[0])
