"""Which models can be scored on which images; reconstructions by several at once, over one client."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rdserve.client.client import Client
from rdserve.client.errors import Cancelled, InputError
from rdserve.client.results import ModelInfo, Reconstruction

Ids = NDArray[np.integer[Any]]
T = TypeVar("T")


def reconstruct_all(
    client: Client,
    models: Sequence[str],
    images: NDArray[np.bool_],
    *,
    example_ids: Ids,
    n_samples: int = 5,
    seed: int = 0,
    at_once: int = 8,
    on_progress: Callable[[str], None] | None = None,
) -> dict[str, Reconstruction]:
    """n_samples reconstructions of each image (N, H, W) by every model, one z per image and model."""

    def reconstruct(model: str, stop: Event) -> Reconstruction:
        if stop.is_set():
            raise Cancelled("another model failed")
        result = client.reconstruct(model, images, n_samples=n_samples, seed=seed, example_ids=example_ids)
        if on_progress:
            on_progress(model)
        return result

    return _for_each(models, reconstruct, at_once=at_once)


def _for_each(models: Sequence[str], work: Callable[[str, Event], T], *, at_once: int) -> dict[str, T]:
    """work(model, stop) for all, in threads. `stop` is set by the first failure, Ctrl-C included."""
    stop = Event()
    pool = ThreadPoolExecutor(max_workers=max(1, min(at_once, len(models))), thread_name_prefix="rdserve")
    try:
        futures: Mapping[str, Future[T]] = {model: pool.submit(work, model, stop) for model in models}
        wait(futures.values(), return_when=FIRST_EXCEPTION)
        for model, future in futures.items():
            if future.done() and not future.cancelled() and (error := future.exception()):
                error.add_note(f"model {model!r}")
                raise error
        return {model: future.result() for model, future in futures.items()}
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def check_fit(models: Sequence[ModelInfo], shape: tuple[int, ...]) -> None:
    """Raises InputError by name: a model that does not serve, or takes other images."""
    for model in models:
        if fault := misfit(model, shape):
            raise InputError(f"model {model.name!r} {fault}")


def misfit(model: ModelInfo, shape: tuple[int, ...]) -> str:
    """Why a model cannot be scored on images of this shape; empty where it can."""
    if model.fault or model.image_shape == shape:
        return model.fault
    return f"takes {model.image_size} images, the data has {'x'.join(map(str, shape))}"
