"""On a Ray of its own, started here with two workers."""

import warnings
from collections.abc import Iterator
from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest
from rdserve.client import Client, errors
from rdserve.compare.scoring import run
from rdserve.compare.scoring.engines import Chunk
from rdserve.compare.scoring.ray_engine import RayEngine, start
from rdserve.compare.scoring.row_store import COLUMNS
from rdserve.data import load
from scripted import scripted

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'rdserve[ray]'")

IMAGES = load("digits", split="train").images


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A local Ray with two processors."""
    start(num_cpus=2)
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Ray does not wait for what it has ended
        ray.shutdown()


pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("cluster"),
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


def test_the_numbers_are_those_of_the_local_engine(in_process_service: str) -> None:
    options: dict[str, Any] = {"seed": 7, "n_samples": 2}
    with Client(in_process_service) as client:
        models = client.models()
        local = run.run(client, models, IMAGES, **options)
    spread = run.run(RayEngine(in_process_service), models, IMAGES, **options)
    assert not spread.failures
    for name, score in local.scores.items():
        for column in COLUMNS:
            np.testing.assert_array_equal(getattr(spread.scores[name], column), getattr(score, column))


def test_an_error_comes_back_as_it_was(in_process_service: str) -> None:
    chunk = Chunk(["tiny-mmm", "nope"], IMAGES[:5], np.arange(5, dtype=np.uint64), seed=0, n_samples=1)
    with RayEngine(in_process_service, workers=1) as engine:
        scored = dict(engine.score(chunk))
        assert isinstance(scored["nope"], errors.NotFound)
        assert scored["nope"].reason == "MODEL_NOT_FOUND"
        assert not isinstance(scored["tiny-mmm"], Exception)
        with pytest.raises(errors.InputError, match="each once; got a, a"):
            list(engine.score(Chunk(["a", "a"], chunk.images, chunk.ids, 0, 1)))


def test_a_lost_worker_may_be_tried_again() -> None:
    called, ended = Event(), Event()

    def hang(_: Any, context: grpc.ServicerContext) -> Any:
        context.add_callback(ended.set)
        called.set()
        ended.wait()
        yield from ()

    chunk = Chunk(["m"], IMAGES[:5], np.arange(5, dtype=np.uint64), seed=0, n_samples=1)
    with scripted(Compare=hang) as address, RayEngine(address, workers=1) as engine:
        call = engine.score(chunk)
        called.wait()
        ray.kill(engine._workers[0], no_restart=False)
        with pytest.raises(errors.Unavailable, match="a Ray worker was lost"):
            list(call)
