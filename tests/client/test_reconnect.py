"""A server that is killed and comes back: the same Client goes on."""

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rdserve.client import Client, errors
from running import Running, until_serving

IMAGES = np.random.default_rng(0).random((20, 8, 8)) < 0.5
OPTIONS = ("--backend", "in-process")


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
