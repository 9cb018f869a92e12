"""A server that is killed and comes back: the same Client goes on."""

import signal
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Semaphore, Thread

import numpy as np
import pytest
from polling import LONG_SECONDS
from rdserve.client import Client, errors
from running import Running, until_serving

IMAGES = np.random.default_rng(0).random((20, 8, 8)) < 0.5
MODELS = ("tiny-mmm", "tiny-mpv", "tiny-ppp")
OPTIONS = ("--backend", "in-process")


def test_streams_end_when_their_server_is_killed(launch: Callable[..., Running], store: Path) -> None:
    """Under grpc's own retries a third of them never ended."""
    server = until_serving(launch(store, *OPTIONS))
    client, ends = Client(server.address), SimpleQueue[BaseException]()
    begun = Semaphore(0)

    def follow(seed: int) -> None:
        try:
            while True:
                for _ in client.score_models(MODELS, IMAGES, n_samples=50, seed=seed):
                    begun.release()
        except Exception as error:
            ends.put(error)

    for seed in range(16):
        Thread(target=follow, args=(seed,), daemon=True).start()
    for _ in range(48):
        begun.acquire()
    server.stop(signal.SIGKILL)
    for _ in range(16):
        assert isinstance(ends.get(timeout=LONG_SECONDS), errors.Unavailable)
    client.close()


def test_a_killed_server_that_comes_back_is_found_again(launch: Callable[..., Running], store: Path) -> None:
    first = until_serving(launch(store, *OPTIONS))
    with Client(first.address) as client:
        before = client.score("tiny-mpv", IMAGES)
        samples = client.stream_samples("tiny-ppp", 100_000, n_samples=10)
        next(samples)
        first.stop(signal.SIGKILL)
        with pytest.raises(errors.Unavailable):  # in flight
            list(samples)
        with pytest.raises(errors.Unavailable) as caught:  # after
            client.models()
        assert isinstance(caught.value, ConnectionError)
        until_serving(launch(store, *OPTIONS, "--port", first.address.rsplit(":", 1)[1]))
        after = client.score("tiny-mpv", IMAGES)
        assert [model.state for model in client.models()] == ["SERVING"] * 3
    np.testing.assert_array_equal(after.rate_nats, before.rate_nats)
