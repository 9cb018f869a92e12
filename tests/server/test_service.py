"""The running service, over real gRPC, on real TorchServe."""

import math
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from grpc_status import rpc_status
from numpy.typing import NDArray
from rdserve.v1.vae_pb2 import (
    DTYPE_UINT8,
    MODEL_STATE_SERVING,
    DecodeRequest,
    EncodeRequest,
    GetModelRequest,
    ListModelsRequest,
    NoiseKeys,
    ReconstructRequest,
    SampleRequest,
    ScoreRequest,
    Tensor,
)
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from rdserve.wire import batches, tensors
from rdserve.wire.limits import MAX_MESSAGE_BYTES
from refusals import reason_of, refused
from shared import Shared

MODELS = ["tiny-mmm", "tiny-mpv", "tiny-ppp"]
IMAGES = np.random.default_rng(1).random((40, 8, 8)) < 0.3
IDS = np.arange(1000, 1040, dtype=np.uint64)


def score(model: str, at: NDArray[np.int64] | slice = slice(None), samples: int = 3) -> ScoreRequest:
    noise = NoiseKeys(seed=9, example_ids=IDS[at])
    return ScoreRequest(model=model, images=tensors.to_message(IMAGES[at]), noise=noise, n_samples=samples)


def test_models_are_listed_with_their_cards(stub: VaeServiceStub) -> None:
    models = stub.ListModels(ListModelsRequest()).models
    assert [model.name for model in models] == MODELS
    assert {model.state for model in models} == {MODEL_STATE_SERVING}
    mpv = stub.GetModel(GetModelRequest(model="tiny-mpv")).model
    assert (mpv.family, list(mpv.image_shape), mpv.latent_dim) == ("-+v", [8, 8], 4)
    assert (mpv.objective, mpv.beta, mpv.annealing_epochs) == ("beta-vae", 1.0, 0)
    assert (mpv.recipe["family"], mpv.recipe["code_version"]) == ("-+v", "0")
    assert not mpv.HasField("training_seed")
    assert mpv == models[1]


@pytest.mark.parametrize("model", MODELS)
def test_every_op_answers(stub: VaeServiceStub, model: str) -> None:
    images, noise = tensors.to_message(IMAGES[:3]), NoiseKeys(seed=1)
    encoded = stub.Encode(EncodeRequest(model=model, images=images, noise=noise, n_samples=2))
    assert tensors.to_array(encoded.latents).shape == (3, 2, 4)
    decoded = stub.Decode(DecodeRequest(model=model, latents=encoded.posterior_mode, noise=noise))
    assert tensors.to_array(decoded.images).shape == (3, 1, 8, 8)
    reconstructed = stub.Reconstruct(ReconstructRequest(model=model, images=images, noise=noise, n_samples=5))
    assert set(np.unique(tensors.to_array(reconstructed.images))) <= {0, 1}
    parts = list(stub.Sample(SampleRequest(model=model, n_latents=3, noise=noise)))
    assert sum(part.images.shape[0] for part in parts) == 3
    assert all(map(math.isfinite, stub.Score(score(model)).rate_nats))


@pytest.mark.parametrize("model", MODELS)
def test_batched_is_unbatched_is_permuted(stub: VaeServiceStub, model: str) -> None:
    whole = np.array(stub.Score(score(model)).distortion_nats)
    order = np.random.default_rng(2).permutation(len(IMAGES))
    permuted = np.array(stub.Score(score(model, order)).distortion_nats)
    np.testing.assert_allclose(permuted, whole[order], rtol=1e-5)
    # Sent at once, so that the front merges them.
    futures = [stub.Score.future(score(model, slice(i, i + 1))) for i in range(len(IMAGES))]
    alone = [future.result().distortion_nats[0] for future in futures]
    np.testing.assert_allclose(alone, whole, rtol=1e-5)


def test_a_request_of_many_calls_is_one_answer(stub: VaeServiceStub) -> None:
    images = np.tile(IMAGES, (30, 1, 1))
    ids = np.tile(IDS, 30)
    request = ScoreRequest(
        model="tiny-mmm",
        images=tensors.to_message(images),
        noise=NoiseKeys(seed=9, example_ids=ids),
        n_samples=3,
    )
    once = np.array(stub.Score(score("tiny-mmm")).rate_nats)
    np.testing.assert_allclose(stub.Score(request).rate_nats, np.tile(once, 30), rtol=1e-5)


def test_samples_come_in_parts_and_are_the_same_in_any_number(stub: VaeServiceStub) -> None:
    def draw(n: int) -> tuple[int, NDArray[np.generic]]:
        request = SampleRequest(model="tiny-mmm", n_latents=n, noise=NoiseKeys(seed=4), n_samples=2)
        parts = list(stub.Sample(request))
        return len(parts), np.concatenate([tensors.to_array(part.latents) for part in parts])

    many_parts, many = draw(600)
    one_part, few = draw(7)
    assert (one_part, many_parts > 1) == (1, True)
    np.testing.assert_allclose(many[:7], few, rtol=1e-6)


BAD: dict[str, tuple[str, batches.Request, grpc.StatusCode, str, tuple[str, ...]]] = {
    "no such model": (
        "Score",
        score("tiny-xyz"),
        grpc.StatusCode.NOT_FOUND,
        "MODEL_NOT_FOUND",
        ("tiny-xyz", "tiny-mmm"),
    ),
    "no model": ("Score", score(""), grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", ("''",)),
    "shape": (
        "Encode",
        EncodeRequest(model="tiny-mmm", images=tensors.to_message(np.zeros((2, 28, 28), bool))),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_ARGUMENT",
        ("(N, 8, 8)", "(2, 28, 28)"),
    ),
    "grey": (
        "Reconstruct",
        ReconstructRequest(model="tiny-ppp", images=tensors.to_message(np.full((1, 8, 8), 7, np.uint8))),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_ARGUMENT",
        ("0 or 1", "7 at (0, 0, 0)"),
    ),
    "byte count": (
        "Score",
        ScoreRequest(model="tiny-mpv", images=Tensor(dtype=DTYPE_UINT8, shape=[1, 8, 8], data=b"\0" * 9)),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_ARGUMENT",
        ("needs 64 bytes", "got 9"),
    ),
    "dtype": (
        "Decode",
        DecodeRequest(model="tiny-mpv", latents=tensors.to_message(np.zeros((1, 4), np.uint8))),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_ARGUMENT",
        ("DTYPE_FLOAT32", "DTYPE_UINT8"),
    ),
    "nan": (
        "Decode",
        DecodeRequest(model="tiny-mmm", latents=tensors.to_message(np.full((1, 4), np.nan))),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_ARGUMENT",
        ("finite", "nan at (0, 0)"),
    ),
    "samples": (
        "Score",
        score("tiny-mmm", samples=5001),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_ARGUMENT",
        ("at most 5000", "got 5001"),
    ),
    "streamed": (
        "Sample",
        SampleRequest(model="tiny-mmm", n_latents=0),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_ARGUMENT",
        ("1 to 100000", "got 0"),
    ),
}


def fail(stub: VaeServiceStub, method: str, request: batches.Request) -> grpc.RpcError:
    def call() -> None:
        answer = getattr(stub, method)(request)
        if isinstance(answer, Iterator):
            list(answer)

    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_its_code_and_both_facts(stub: VaeServiceStub, case: str) -> None:
    method, request, code, reason, facts = BAD[case]
    error = fail(stub, method, request)
    assert error.code() == code  # type: ignore[attr-defined]
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    for fact in facts:
        assert fact in status.message
    info, detail = error_details_pb2.ErrorInfo(), status.details[1]
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason) == ("rdserve", reason)
    expected = "ResourceInfo" if code == grpc.StatusCode.NOT_FOUND else "BadRequest"
    assert detail.TypeName() == f"google.rpc.{expected}"


def test_hostile_requests_kill_no_worker(torchserve_service: Shared, stub: VaeServiceStub) -> None:
    before = torchserve_service.workers()
    assert len(before) == len(MODELS)
    for method, request, *_ in BAD.values():
        fail(stub, method, request)
    for model in MODELS:
        for _ in range(20):
            with pytest.raises(grpc.RpcError):
                stub.Score(score(model, samples=100), timeout=0.001)
        assert len(stub.Score(score(model)).rate_nats) == len(IMAGES)
    assert torchserve_service.workers() == before


@pytest.mark.parametrize("method", ["/rdserve.v1.VaeService/Nope", "/nobody/Nothing"])
def test_an_unknown_method_is_unimplemented(channel: grpc.Channel, method: str) -> None:
    error: Any = refused(channel.unary_unary(method).future(b"", metadata=(("x-request-id", "mine"),)))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    assert reason_of(error) == "METHOD_NOT_FOUND"
    assert dict(error.trailing_metadata())["x-request-id"] == "mine"


def test_a_message_over_the_limit_is_refused(stub: VaeServiceStub) -> None:
    images = Tensor(dtype=DTYPE_UINT8, shape=[1, 8, 8], data=bytes(MAX_MESSAGE_BYTES + 1))
    error = fail(stub, "Score", ScoreRequest(model="tiny-mmm", images=images))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
    assert len(stub.Score(score("tiny-mmm")).rate_nats) == len(IMAGES)


@pytest.mark.parametrize("name", ["", "rdserve.v1.VaeService", *MODELS])
def test_health_knows_the_server_the_service_and_each_model(channel: grpc.Channel, name: str) -> None:
    answer = HealthStub(channel).Check(HealthCheckRequest(service=name))
    assert answer.status == HealthCheckResponse.SERVING


def test_health_of_nobody_is_not_found(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        HealthStub(channel).Check(HealthCheckRequest(service="tiny-xyz"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND  # type: ignore[attr-defined]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_services(channel: grpc.Channel, version: str) -> None:
    ask = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
    request = ServerReflectionRequest(list_services="").SerializeToString()
    answer = ServerReflectionResponse.FromString(next(iter(ask(iter([request])))))
    names = {service.name for service in answer.list_services_response.service}
    assert {"rdserve.v1.VaeService", "grpc.health.v1.Health"} <= names


@pytest.mark.parametrize("model", MODELS)
def test_both_backends_give_the_same_numbers(
    stub: VaeServiceStub, in_process_service: str, model: str
) -> None:
    with grpc.insecure_channel(in_process_service) as channel:
        here = VaeServiceStub(channel).Score(score(model))
    there = stub.Score(score(model))
    np.testing.assert_allclose(here.rate_nats, there.rate_nats, rtol=1e-6)
    np.testing.assert_allclose(here.distortion_nats, there.distortion_nats, rtol=1e-6)


def test_the_front_holds_no_torch(torchserve_service: Shared) -> None:
    front = torchserve_service.processes()[0]
    assert not [m.path for m in front.memory_maps() if "libtorch" in m.path]
