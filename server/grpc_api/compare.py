"""Compare: one upload scored on several models, their rows as they come, their failures one by one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

from rdserve.server.batching.scheduler import Scheduler
from rdserve.server.errors import InvalidRequest
from rdserve.server.grpc_api.validation import accept
from rdserve.server.registry import ModelRegistry
from rdserve.server.status import as_service_error, to_status
from rdserve.v1.vae_pb2 import CompareRequest, CompareResponse, ScoreRequest, ScoreResponse
from rdserve.wire.limits import MAX_MESSAGE_BYTES, MAX_MODELS
from rdserve.wire.service import SERVICE

METHOD = f"/{SERVICE}/Compare"
# Messages that wait for a caller who does not read, per model.
WAITING = 4

Messages = asyncio.Queue[CompareResponse | None]


async def compare(
    request: CompareRequest, registry: ModelRegistry, scheduler: Scheduler, left: float | None = None
) -> AsyncIterator[CompareResponse]:
    """Every model's rows in order, models in any; `left`: seconds until the caller's deadline.

    Each model has its own place in its own queue, so that none waits for another. Leaving the iteration
    drops what has not been sent to a worker.

    Raises:
        InvalidRequest: no models, too many, one twice, or so many that each having its images would take
            more than a message holds. What is wrong for one model only is that model's error.
    """
    check_models(request)
    messages = Messages(WAITING * len(request.models))
    tasks = [
        asyncio.create_task(_score(model, request, registry, scheduler, left, messages))
        for model in request.models
    ]
    try:
        unfinished = len(tasks)
        while unfinished:
            message = await messages.get()
            if message is None:
                unfinished -= 1
            else:
                yield message
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def check_models(request: CompareRequest) -> None:
    """Raises InvalidRequest as `compare`."""
    if not 1 <= len(request.models) <= MAX_MODELS:
        raise InvalidRequest(
            f"a comparison names 1 to {MAX_MODELS} models, got {len(request.models)}", field="models"
        )
    twice = [name for name, count in Counter(request.models).items() if count > 1]
    if twice:
        raise InvalidRequest(f"each model once, got {twice[0][:128]!r} twice or more", field="models")
    spread = len(request.models) * request.images.ByteSize()
    if spread > MAX_MESSAGE_BYTES:
        raise InvalidRequest(
            f"{len(request.models)} models times {request.images.ByteSize()} bytes of images are {spread}, "
            f"at most {MAX_MESSAGE_BYTES} may be; send fewer images at a time",
            field="images",
        )


async def _score(
    model: str,
    request: CompareRequest,
    registry: ModelRegistry,
    scheduler: Scheduler,
    left: float | None,
    messages: Messages,
) -> None:
    try:
        async for message in _rows(model, request, registry, scheduler, left):
            await messages.put(message)
    except Exception as error:
        status = to_status(as_service_error(error, METHOD))
        await messages.put(CompareResponse(model=model, error=status))
    await messages.put(None)


async def _rows(
    model: str, request: CompareRequest, registry: ModelRegistry, scheduler: Scheduler, left: float | None
) -> AsyncIterator[CompareResponse]:
    score = ScoreRequest(model=model, images=request.images, noise=request.noise, n_samples=request.n_samples)
    card = accept(score, registry)
    first = 0
    async for part in scheduler.stream(score, card, left, merged=False):
        assert isinstance(part, ScoreResponse)
        yield CompareResponse(model=model, first_row=first, scores=part)
        first += len(part.rate_nats)
