"""A server that is killed and comes back: the same Client goes on."""

import signal
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Semaphore, Thread

import numpy as np
import pytest
from front import Front
from polling import LONG_SECONDS
from rdserve.client import Client, errors
from running import Running, until_serving

IMAGES = np.random.default_rng(0).random((20, 8, 8)) < 0.5
MODELS = ("tiny-mmm", "tiny-mpv", "tiny-ppp")


def test_a_killed_server_ends_its_streams_and_is_found_again(
    launch: Callable[..., Running], front: Callable[..., Front], store: Path
) -> None:
    """Under grpc's own retries a third of the streams never ended."""
    first = until_serving(launch(store, "--backend", "in-process"))
    begun, ends = Semaphore(0), SimpleQueue[BaseException]()

    with Client(first.address) as client, Client(first.address) as crowded:

        def follow(seed: int) -> None:
            try:
                while True:
                    for _ in crowded.score_models(MODELS, IMAGES, n_samples=50, seed=seed):
                        begun.release()
            except Exception as error:
                ends.put(error)

        before = client.score("tiny-mpv", IMAGES)
        samples = client.stream_samples("tiny-ppp", 100_000, n_samples=10)
        next(samples)
        for seed in range(16):
            Thread(target=follow, args=(seed,), daemon=True).start()
        for _ in range(48):
            begun.acquire()
        first.stop(signal.SIGKILL)
        for _ in range(16):
            assert isinstance(ends.get(timeout=LONG_SECONDS), errors.Unavailable)
        with pytest.raises(errors.Unavailable):  # in flight
            list(samples)
        with pytest.raises(errors.Unavailable) as caught:  # after
            client.models()
        assert isinstance(caught.value, ConnectionError)
        front(store, port=int(first.address.rsplit(":", 1)[1]))
        for each in (client, crowded):
            after = each.score("tiny-mpv", IMAGES)
            np.testing.assert_array_equal(after.rate_nats, before.rate_nats)
        assert [model.state for model in client.models()] == ["SERVING"] * 3
