from dataclasses import replace
from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest
from points import MODEL
from rdserve.client import Client, InputError, errors
from rdserve.compare import scoring
from rdserve.data import load
from rdserve.v1.vae_pb2 import ScoreResponse
from scripted import scripted

IMAGES = load("digits", split="test").images[:20]
MODELS = ["tiny-mmm", "tiny-mpv", "tiny-ppp"]


def test_all_at_once_is_one_by_one(in_process_service: str) -> None:
    rows: dict[str, int] = {}

    def count(model: str, done: int) -> None:
        rows[model] = rows.get(model, 0) + done

    with Client(in_process_service) as client:
        scores = scoring.score_all(client, MODELS, IMAGES, n_samples=2, seed=4, on_progress=count)
        assert list(scores) == MODELS
        assert rows == dict.fromkeys(MODELS, len(IMAGES))
        for model, score in scores.items():
            alone = client.score(model, IMAGES, n_samples=2, seed=4)
            np.testing.assert_allclose(score.distortion_nats, alone.distortion_nats, rtol=1e-5)


def test_reconstructions_are_those_of_the_examples(in_process_service: str) -> None:
    ids = np.array([3, 7])
    with Client(in_process_service) as client:
        drawn = scoring.reconstruct_all(client, MODELS, IMAGES[ids], example_ids=ids)
        for model in MODELS:
            whole = client.reconstruct(model, IMAGES, n_samples=5)
            np.testing.assert_array_equal(drawn[model].images, whole.images[ids])


def test_the_first_failure_is_named_and_stops_the_others() -> None:
    failed, stopped = Event(), Event()

    def score(request: Any, context: grpc.ServicerContext) -> ScoreResponse:
        if request.model == "bad":
            context.abort(grpc.StatusCode.INTERNAL, "NaN")
        context.add_callback(stopped.set)
        failed.wait()
        n = request.images.shape[0]
        return ScoreResponse(**dict.fromkeys(("rate_nats", "distortion_nats"), [0.0] * n))

    with scripted(Score=score) as address, Client(address) as client:
        with pytest.raises(errors.Internal, match="NaN") as caught:
            scoring.score_all(client, ["slow", "bad"], IMAGES)
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
