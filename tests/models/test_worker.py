"""Bytes in, bytes out; nothing raises, and nobody gets another caller's rows."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdserve.models.card_parts import Architecture
from rdserve.models.families import build
from rdserve.models.worker.worker import Worker
from rdserve.v1.vae_pb2 import (
    DTYPE_UINT8,
    DecodeRequest,
    EncodeRequest,
    NoiseKeys,
    ReconstructRequest,
    SampleRequest,
    ScoreRequest,
    Tensor,
)
from rdserve.v1.worker_pb2 import WorkErrorReason, WorkReply, WorkRequest
from rdserve.wire import batches
from rdserve.wire.tensors import to_array, to_message
from tiny import tiny_card

IMAGES = np.random.default_rng(0).random((12, 8, 8)) < 0.3
LATENTS = np.random.default_rng(1).standard_normal((12, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def worker() -> Worker:
    torch.manual_seed(0)
    architecture = Architecture(family="+-v", image_size=8, latent_dim=4, width=0.1, n_pseudo_inputs=3)
    return Worker(tiny_card("tiny", architecture), build(architecture))


def body(request: batches.Request) -> bytes:
    op = type(request).__name__.removesuffix("Request").lower()
    return WorkRequest(**{op: request}).SerializeToString()


def replies(worker: Worker, requests: Iterable[batches.Request]) -> list[WorkReply]:
    return [WorkReply.FromString(reply) for reply in worker.work([body(r) for r in requests])]


def request(op: str, start: int, n: int, seed: int, k: int) -> batches.Request:
    noise = NoiseKeys(seed=seed, example_ids=range(start, start + n))
    at = slice(start, start + n)
    if op == "sample":
        return SampleRequest(model="tiny", n_latents=n, noise=noise, n_samples=k)
    if op == "decode":
        return DecodeRequest(model="tiny", latents=to_message(LATENTS[at]), noise=noise, n_samples=k)
    kind = {"encode": EncodeRequest, "score": ScoreRequest, "reconstruct": ReconstructRequest}[op]
    return kind(model="tiny", images=to_message(IMAGES[at]), noise=noise, n_samples=k)


calls = st.builds(
    request,
    st.sampled_from(["encode", "score", "reconstruct", "decode", "sample"]),
    start=st.integers(0, 6),
    n=st.integers(1, 6),
    seed=st.integers(0, 2**64 - 1),
    k=st.integers(1, 3),
)


def assert_same(a: WorkReply, b: WorkReply) -> None:
    op = a.WhichOneof("result")
    assert op == b.WhichOneof("result") != "error"
    for (field, left), (_, right) in zip(
        getattr(a, op).ListFields(), getattr(b, op).ListFields(), strict=True
    ):
        if isinstance(left, Tensor):
            left, right = to_array(left), to_array(right)
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4, err_msg=field.name)


@settings(max_examples=40, deadline=None)
@given(st.lists(calls, min_size=1, max_size=6))
def test_together_is_as_alone(worker: Worker, requests: list[batches.Request]) -> None:
    together = replies(worker, requests)
    for request, reply in zip(requests, together, strict=True):
        assert_same(reply, replies(worker, [request])[0])


def images(array: np.ndarray, **noise: object) -> EncodeRequest:
    return EncodeRequest(model="tiny", images=to_message(array), noise=NoiseKeys(**noise))


@pytest.mark.parametrize(
    ("bad", "facts"),
    [
        (images(np.zeros((2, 8, 9), bool)), ["(N, 8, 8)", "(2, 8, 9)"]),
        (images(np.zeros((0, 8, 8), bool)), ["N >= 1", "(0, 8, 8)"]),
        (images(np.zeros((2, 8, 8), bool), example_ids=[1]), ["example_ids has 1", "2 rows"]),
        (images(np.zeros((2, 8, 8), bool), row_seeds=[1, 2, 3]), ["row_seeds has 3", "2 rows"]),
        (EncodeRequest(images=Tensor(dtype=DTYPE_UINT8, shape=[1, 8, 8], data=b"\1")), ["64 bytes", "got 1"]),
        (DecodeRequest(latents=to_message(np.zeros((1, 5), np.float32))), ["(N, 4)", "(1, 5)"]),
        (SampleRequest(), ["0 rows"]),
    ],
)
def test_a_bad_request_is_told_why_and_spoils_no_other(
    worker: Worker, bad: batches.Request, facts: list[str]
) -> None:
    good = request("encode", 0, 2, 5, 1)
    answers = replies(worker, [good, bad, good])
    error = answers[1].error
    assert error.reason == WorkErrorReason.WORK_ERROR_REASON_INVALID_ARGUMENT
    assert all(fact in error.message for fact in facts), error.message
    assert_same(answers[0], replies(worker, [good])[0])
    assert_same(answers[2], answers[0])


@given(garbage=st.binary(max_size=200))
def test_random_bytes_are_answered(worker: Worker, garbage: bytes) -> None:
    (reply,) = worker.work([garbage])
    assert WorkReply.FromString(reply).WhichOneof("result") is not None


def test_latents_that_overflow_are_a_numeric_failure_or_finite(worker: Worker) -> None:
    huge = np.full((1, 4), 3e38, np.float32)
    (reply,) = replies(worker, [DecodeRequest(latents=to_message(huge))])
    assert reply.WhichOneof("result") in ("decode", "error")
    assert reply.error.reason != WorkErrorReason.WORK_ERROR_REASON_INTERNAL


def test_a_defect_is_internal_with_an_id_and_its_traceback(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "card", None)
    (reply,) = replies(worker, [request("encode", 0, 1, 0, 1)])
    assert reply.error.reason == WorkErrorReason.WORK_ERROR_REASON_INTERNAL
    assert reply.error.error_id
    assert reply.error.message.startswith("Traceback (most recent call last)")
    assert "AttributeError" in reply.error.message
    assert not caplog.records  # the front logs it, once


def test_a_revoked_call_is_given_up_and_its_neighbours_are_not(worker: Worker, tmp_path: Path) -> None:
    """Where bodies are merged, they go on for as long as anybody waits."""
    (tmp_path / "revoked").touch()
    gone = WorkRequest(sample=request("sample", 0, 2, 5, 1), revocation_file=str(tmp_path / "revoked"))
    kept = WorkRequest(sample=request("sample", 0, 2, 5, 1), revocation_file=str(tmp_path / "not"))
    bodies = [gone.SerializeToString(), kept.SerializeToString()]
    alone = WorkReply.FromString(worker.work(bodies[:1])[0])
    assert alone.error.reason == WorkErrorReason.WORK_ERROR_REASON_ABANDONED
    for reply in worker.work(bodies):
        assert WorkReply.FromString(reply).WhichOneof("result") == "sample"
