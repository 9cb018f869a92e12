"""The client against the real service, over TorchServe and without it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest
import rdserve.client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdserve.client import Client, InputError, chunking, errors
from rdserve.client.rows import RowKeys
from rdserve.data import load
from rdserve.models.execution.config import ExecutionConfig
from rdserve.wire.batches import slices
from scripted import scripted

IMAGES = load("digits", split="test").images[:40]
MODELS = ("tiny-mmm", "tiny-mpv", "tiny-ppp")
Call = Callable[..., Any]


@pytest.fixture(scope="module")
def client(in_process_service: str) -> Iterator[Client]:
    with Client(in_process_service) as client:
        yield client


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "MAX_ROWS", 7)


def same(a: object, b: object, rows: Any = slice(None)) -> None:
    """Every array of a equals b's rows, to float32's last digits; every flag is equal."""
    assert type(a) is type(b)
    for field in fields(a):  # type: ignore[arg-type]
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, bool):
            assert left == right
        else:
            np.testing.assert_allclose(left, right[rows], rtol=1e-5, atol=1e-5)


def calls(client: Client) -> list[Call]:
    """Each call on images, as call(model, images, **options)."""
    return [client.encode, client.reconstruct, client.score]


@pytest.mark.parametrize("model", MODELS)
def test_chunks_do_not_show(client: Client, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for call in calls(client):
        whole = call(model, IMAGES, n_samples=3, seed=5)
        with monkeypatch.context() as patch:
            patch.setattr(chunking, "MAX_ROWS", 7)
            same(call(model, IMAGES, n_samples=3, seed=5), whole)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(len(IMAGES))))
def test_a_row_belongs_to_its_example(client: Client, order: list[int]) -> None:
    for call in calls(client):
        whole = call("tiny-mpv", IMAGES, n_samples=2, seed=1)
        rows = np.array(order[:11])
        same(call("tiny-mpv", IMAGES[rows], n_samples=2, seed=1, example_ids=rows), whole, rows)


@pytest.mark.parametrize("model", MODELS)
def test_both_backends_agree(client: Client, service: str, model: str) -> None:
    with Client(service) as torchserve:
        for one, other in zip(calls(client), calls(torchserve), strict=True):
            same(one(model, IMAGES, n_samples=2, seed=9), other(model, IMAGES, n_samples=2, seed=9))
        latents = client.encode(model, IMAGES).posterior_mode
        same(client.decode(model, latents), torchserve.decode(model, latents))
        same(client.sample(model, 5, n_samples=2), torchserve.sample(model, 5, n_samples=2))


def test_shapes(client: Client) -> None:
    n = len(IMAGES)
    encoding = client.encode("tiny-mpv", IMAGES, n_samples=3)
    assert encoding.posterior_mode.shape == encoding.posterior_scale.shape == (n, 4)
    assert encoding.latents.shape == (n, 3, 4)
    assert client.decode("tiny-mpv", encoding.posterior_mode, n_samples=2).images.shape == (n, 2, 8, 8)
    reconstruction = client.reconstruct("tiny-mpv", IMAGES, n_samples=2)
    assert (reconstruction.latents.shape, reconstruction.images.shape) == ((n, 4), (n, 2, 8, 8))
    assert set(np.unique(reconstruction.images)) == {0, 1}
    score = client.score("tiny-mpv", IMAGES)
    assert score.rate_nats.shape == score.distortion_nats.shape == (n,)
    np.testing.assert_array_equal(score.elbo_nats, -(score.rate_nats + score.distortion_nats))


def test_one_sample_bounds_with_its_elbo(client: Client) -> None:
    score = client.score("tiny-ppp", IMAGES, n_samples=1)
    assert not score.rate_is_exact
    np.testing.assert_allclose(score.importance_bound_nats, score.elbo_nats, rtol=1e-5)
    np.testing.assert_allclose(score.importance_ess, 1)
    assert client.score("tiny-mmm", IMAGES).rate_is_exact


def test_another_seed_is_other_noise(client: Client) -> None:
    a, b = (client.encode("tiny-mmm", IMAGES, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(a.posterior_mode, b.posterior_mode)
    assert (a.latents != b.latents).all()


@pytest.mark.usefixtures("small_chunks")
def test_more_samples_begin_with_the_fewer(client: Client) -> None:
    few, many = (client.sample("tiny-mpv", n, n_samples=2, seed=3) for n in (5, 20))
    same(few, many, slice(5))
    parts = list(client.stream_samples("tiny-mpv", 20, n_samples=2, seed=3))
    assert len(parts) >= 3
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), many.images)


@pytest.mark.usefixtures("small_chunks")
def test_progress_counts_every_row(client: Client) -> None:
    seen: list[int] = []
    client.score("tiny-mmm", IMAGES, on_progress=seen.append)
    assert seen == [7, 7, 7, 7, 7, 5]
    seen.clear()
    client.sample("tiny-mmm", 9, on_progress=seen.append)
    assert sum(seen) == 9


def test_threads_share_a_client(client: Client) -> None:
    expected = client.score("tiny-mpv", IMAGES)
    with ThreadPoolExecutor(8) as pool:
        for score in pool.map(lambda _: client.score("tiny-mpv", IMAGES), range(16)):
            same(score, expected)


def test_models_are_listed_with_their_cards(client: Client) -> None:
    listed = client.models()
    assert [model.name for model in listed] == sorted(MODELS)
    assert client.model("tiny-mpv") == listed[1]
    model = listed[1]
    assert (model.family, model.image_shape, model.latent_dim, model.state) == ("-+v", (8, 8), 4, "SERVING")
    assert (model.dtype, model.device) == ("float32", ExecutionConfig().device_name)
    assert model.reference is not None
    assert model.reference.split == "test"


def test_an_unknown_model_is_not_found(client: Client) -> None:
    for call in (client.model, lambda name: client.score(name, IMAGES), lambda name: client.sample(name, 1)):
        with pytest.raises(errors.NotFound, match="tiny-mmm, tiny-mpv") as caught:
            call("nope")
        assert caught.value.reason == "MODEL_NOT_FOUND"


def test_the_server_says_which_field_is_wrong(client: Client) -> None:
    with pytest.raises(errors.InvalidArgument, match=r"\(N, 8, 8\), got \(2, 9, 9\)") as caught:
        client.score("tiny-mmm", np.zeros((2, 9, 9), bool))
    assert list(caught.value.fields) == ["images"]
    with pytest.raises(errors.InvalidArgument, match=r"\(N, 4\), got \(1, 5\)"):
        client.decode("tiny-mmm", np.zeros((1, 5)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_samples": 0}, "n_samples must be a whole number in 1 .. "),
        ({"n_samples": 10**6}, "got 1000000"),
        ({"n_samples": 1.5}, "got 1.5"),
        ({"seed": -1}, "seed must be a whole number in 0 .. 18446744073709551615, got -1"),
        ({"seed": 2**64}, "seed"),
        ({"example_ids": np.arange(3)}, r"shape \(3,\) for 40 rows"),
    ],
)
def test_what_cannot_be_right_is_not_sent(wrong: dict[str, Any], message: str) -> None:
    with Client("localhost:1") as nowhere, pytest.raises(InputError, match=message):
        nowhere.score("m", IMAGES, **wrong)


@pytest.mark.parametrize("n", [0, True, 2.0])
def test_a_number_of_samples_is_whole_and_positive(n: Any) -> None:
    with Client("localhost:1") as nowhere, pytest.raises(InputError, match="number of rows"):
        nowhere.stream_samples("m", n)


@given(n=st.integers(1, 50), seed=st.integers(0, 2**64 - 1))
def test_keys_name_each_row_once(n: int, seed: int) -> None:
    keys = RowKeys.of(n, 1, seed, None)
    names = [name for part in slices(n, 7) for name in keys.noise(part).example_ids]
    assert names == list(range(n))
    assert keys.noise(slice(0, 1)).seed == seed


def test_ready_returns_once_the_service_serves(in_process_service: str) -> None:
    with Client(in_process_service) as client:
        client.wait_for_ready(timeout=60)


def test_waiting_for_a_service_that_never_comes_ends() -> None:
    with Client("localhost:1") as client, pytest.raises(errors.DeadlineExceeded, match=r"within 0\.1 s"):
        client.wait_for_ready(timeout=0.1)


def test_a_given_channel_stays_open(in_process_service: str) -> None:
    with grpc.insecure_channel(in_process_service) as channel:
        for _ in range(2):
            with Client(channel=channel) as client:
                assert client.model("tiny-mmm").name == "tiny-mmm"


def test_a_closed_client_says_so(in_process_service: str) -> None:
    with Client(in_process_service) as client:
        stream = client.stream_samples("tiny-mmm", 3)
    for call in (
        client.models,
        client.wait_for_ready,
        lambda: client.score("m", IMAGES),
        lambda: next(stream),
    ):
        with pytest.raises(InputError, match=f"this client of {in_process_service} was closed"):
            call()


def test_closing_wakes_a_call_between_attempts() -> None:
    called = Event()

    def later(_: Any, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-retry-pushback-ms", "3600000"),))
        context.add_callback(called.set)
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "in an hour")

    with scripted(Score=later) as address, ThreadPoolExecutor(1) as pool:
        client = Client(address, timeout=7200)
        waiting = pool.submit(client.score, "m", IMAGES)
        called.wait()
        client.close()
        with pytest.raises(errors.Cancelled):
            waiting.result()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("localhost", "'localhost' is no host:port"),
        ("", "'' is no host:port"),
        ("localhost:x", "'localhost:x' is no host:port"),
        ("localhost:99999", "'localhost:99999' is no host:port"),
        ("::1", "'::1' is no host:port"),
        ("ipv4:127.0.0.1:1,127.0.0.2", "'127.0.0.2' is no host:port"),
        ("dns:///replicas", "'replicas' is no host:port"),
        ("https://rdserve.example.org:443/", "write rdserve.example.org:443 without https://"),
    ],
)
def test_what_is_no_address_is_not_called(address: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Client(address)


def test_every_error_is_where_users_look() -> None:
    def kinds(kind: type[Exception]) -> set[str]:
        return {kind.__name__}.union(*map(kinds, kind.__subclasses__()))

    here = {name for name in kinds(errors.RdserveError) if hasattr(errors, name)}
    assert here <= set(rdserve.client.__all__)


def test_closing_cancels_what_other_threads_wait_for() -> None:
    called, ended = Event(), Event()

    def hang(_: Any, context: grpc.ServicerContext) -> None:
        context.add_callback(ended.set)
        called.set()
        ended.wait()

    with scripted(Score=hang) as address, ThreadPoolExecutor(1) as pool:
        client = Client(address)
        waiting = pool.submit(client.score, "m", IMAGES)
        called.wait()
        client.close()
        with pytest.raises(errors.Cancelled):
            waiting.result()
        ended.wait()
