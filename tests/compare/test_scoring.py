from dataclasses import replace
from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest
from points import MODEL
from rdserve.client import Client, InputError, errors
from rdserve.compare.scoring import reconstruct as scoring
from rdserve.data import load
from rdserve.v1.vae_pb2 import ReconstructResponse
from scripted import scripted

IMAGES = load("digits", split="test").images[:20]
MODELS = ["tiny-mmm", "tiny-mpv", "tiny-ppp"]


def test_reconstructions_are_those_of_the_examples(in_process_service: str) -> None:
    ids = np.array([3, 7])
    with Client(in_process_service) as client:
        drawn = scoring.reconstruct_all(client, MODELS, IMAGES[ids], example_ids=ids)
        for model in MODELS:
            whole = client.reconstruct(model, IMAGES, n_samples=5)
            np.testing.assert_array_equal(drawn[model].images, whole.images[ids])


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
            scoring.reconstruct_all(client, ["slow", "bad"], IMAGES, example_ids=np.arange(20))
        assert caught.value.__notes__ == ["model 'bad'"]
        failed.set()
        stopped.wait()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_shape": (28, 28)}, "model 'b' takes 28x28 images, the data has 8x8"),
        ({"state": "FAILED", "state_reason": "no weights"}, "model 'b' is FAILED: no weights"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    models = [replace(MODEL, name="a"), replace(MODEL, name="b", **change)]
    with pytest.raises(InputError, match=message):
        scoring.check_fit(models, (8, 8))
    scoring.check_fit(models[:1], (8, 8))
