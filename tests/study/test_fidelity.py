"""Reconstructions by several models at once, over one client."""

from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest
from rdserve.client import Client, errors
from rdserve.data import load
from rdserve.study.fidelity import reconstruct_all
from rdserve.study.subset import Examples
from rdserve.v1.vae_pb2 import ReconstructResponse
from scripted import scripted

DIGITS = load("digits", split="test")
MODELS = ["tiny-mmm", "tiny-mpv", "tiny-ppp"]


def test_reconstructions_are_those_of_the_examples(in_process_service: str) -> None:
    ids = np.array([3, 7])
    with Client(in_process_service) as client:
        drawn = reconstruct_all(client, MODELS, Examples(DIGITS, ids), n_samples=5, seed=0)
        for model in MODELS:
            whole = client.reconstruct(model, DIGITS.images[:20], n_samples=5)
            np.testing.assert_array_equal(drawn[model], whole.images[ids])


def test_the_first_failure_is_named_and_stops_the_others() -> None:
    failed, stopped = Event(), Event()

    def reconstruct(request: Any, context: grpc.ServicerContext) -> ReconstructResponse:
        if request.model == "bad":
            context.abort(grpc.StatusCode.INTERNAL, "NaN")
        context.add_callback(stopped.set)
        failed.wait()
        return ReconstructResponse()

    with scripted(Reconstruct=reconstruct) as address, Client(address) as client:
        with pytest.raises(errors.Internal, match="NaN") as caught:
            reconstruct_all(client, ["slow", "bad"], Examples(DIGITS, np.arange(20)), n_samples=5, seed=0)
        assert caught.value.__notes__ == ["model 'bad'"]
        failed.set()
        stopped.wait()
