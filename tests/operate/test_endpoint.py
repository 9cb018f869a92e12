"""What one request leaves behind: counts, exemplars, trailing metadata, a line of the log."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from polling import until
from prometheus import MODEL, Prometheus
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from rdserve.client import Client, timings
from rdserve.client.errors import InvalidArgument, NotFound
from rdserve.models.card import read_card
from rdserve.v1.vae_pb2 import NoiseKeys, SampleRequest, ScoreRequest
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from rdserve.wire import tensors
from running import Running
from shell import rdserve

ZOO = Path(__file__).parents[2] / "zoo/digits"
IMAGES = np.random.default_rng(0).random((5, 8, 8)) < 0.5
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def client(watched: Running) -> Iterator[Client]:
    with Client(watched.address) as client:
        yield client


@pytest.fixture
def stub(watched: Running) -> Iterator[VaeServiceStub]:
    with grpc.insecure_channel(watched.address) as channel:
        yield VaeServiceStub(channel)


@pytest.fixture
def read(endpoint: str) -> Callable[..., float]:
    """read(sample, **labels) -> its value now, summed over the labels not given."""

    def value(name: str, **labels: str) -> float:
        text = urllib.request.urlopen(endpoint).read().decode()
        return sum(
            sample.value
            for family in plain(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    return value


def score(model: str = MODEL) -> ScoreRequest:
    return ScoreRequest(model=model, images=tensors.to_message(IMAGES), noise=NoiseKeys(seed=1))


def lines(watched: Running, request_id: str) -> list[dict[str, Any]]:
    """The log's lines about a request; there is one."""
    until(lambda: any(request_id in line for line in list(watched.lines)))
    return [json.loads(line) for line in list(watched.lines) if request_id in line]


def test_a_request_moves_every_layer(client: Client, read: Callable[..., float]) -> None:
    watched = [
        ("grpc_server_handled_total", {"grpc_method": "Score", "grpc_code": "OK"}, 1),
        ("rdserve_queue_seconds_count", {"model": MODEL}, 1),
        ("rdserve_batch_rows_sum", {"model": MODEL, "op": "score"}, 5),
        ("rdserve_compute_seconds_count", {"model": MODEL, "op": "score", "stage": "compute"}, 1),
        ("rdserve_rate_nats_count", {"model": MODEL}, 5),
        ("rdserve_distortion_nats_count", {"model": MODEL}, 5),
        ("torchserve_calls_total", {"model": MODEL}, 1),
    ]
    before = [read(name, **labels) for name, labels, _ in watched]
    result = client.score(MODEL, IMAGES)
    for (name, labels, step), value in zip(watched, before, strict=True):
        assert read(name, **labels) - value == step, name
    assert read("torchserve_http_responses_total", status_class="2xx") > 0
    for name in ("torchserve_inference_seconds_total", "torchserve_queue_seconds_total"):
        assert 0 < read(name, model=MODEL) < 60
    total = read("rdserve_distortion_nats_sum", model=MODEL)
    client.score(MODEL, IMAGES)
    assert read("rdserve_distortion_nats_sum", model=MODEL) - total == pytest.approx(
        result.distortion_nats.sum()
    )


def test_latents_are_measured(client: Client, read: Callable[..., float]) -> None:
    count, total = read("rdserve_latent_norm_count"), read("rdserve_latent_norm_sum")
    encoding = client.encode(MODEL, IMAGES, n_samples=3)
    assert read("rdserve_latent_norm_count") - count == len(IMAGES)
    norms = np.linalg.norm(encoding.latents[:, 0].astype(float), axis=-1)
    assert read("rdserve_latent_norm_sum") - total == pytest.approx(norms.sum())


def test_what_is_served_is_told(read: Callable[..., float]) -> None:
    card = read_card(ZOO / MODEL)
    facts = {"version": card.version, "weights_sha256": card.weights.sha256, "family": "-+v"}
    assert read("rdserve_model_info", model=MODEL, **facts) == 1
    assert read("rdserve_model_state", model=MODEL, state="serving") == 1
    assert read("rdserve_model_state", model=MODEL) == 1
    mean = read("rdserve_reference_rate_nats", model=MODEL, statistic="mean")
    assert mean == card.reference.rate_nats
    assert read("torchserve_up") == 1
    assert read("torchserve_worker_load_seconds", model=MODEL) > 0


def test_refusals_have_reasons_and_no_labels_of_the_callers_making(
    client: Client, read: Callable[..., float], endpoint: str
) -> None:
    invalid = read("rdserve_rejected_total", model=MODEL, reason="INVALID_ARGUMENT")
    unknown = read("rdserve_rejected_total", model="unknown", reason="MODEL_NOT_FOUND")
    with pytest.raises(InvalidArgument):
        client.score(MODEL, np.zeros((1, 9, 9)))
    with pytest.raises(NotFound):
        client.score("a-model-of-mine", IMAGES)
    assert read("rdserve_rejected_total", model=MODEL, reason="INVALID_ARGUMENT") == invalid + 1
    assert read("rdserve_rejected_total", model="unknown", reason="MODEL_NOT_FOUND") == unknown + 1
    assert "a-model-of-mine" not in urllib.request.urlopen(endpoint).read().decode()


def test_who_gives_up_is_counted_where(stub: VaeServiceStub, read: Callable[..., float]) -> None:
    labels = {"model": MODEL, "stage": "worker"}
    before = read("rdserve_expired_total", **labels)
    call = stub.Sample(SampleRequest(model=MODEL, n_latents=2000, noise=NoiseKeys(seed=1)))
    next(call)
    call.cancel()  # type: ignore[attr-defined]
    until(lambda: read("rdserve_expired_total", model=MODEL) == before + 1)


def test_exemplars_under_openmetrics(stub: VaeServiceStub, endpoint: str, scraped: Prometheus) -> None:
    stub.Score(score(), metadata=(("traceparent", TRACEPARENT),))
    asked = urllib.request.Request(endpoint, headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(asked) as answer:
        families = list(openmetrics(answer.read().decode()))
    carried = {
        sample.name
        for family in families
        for sample in family.samples
        if sample.exemplar and sample.exemplar.labels == {"trace_id": TRACE}
    }
    assert carried == {"grpc_server_handling_seconds_bucket", "rdserve_queue_seconds_bucket"}
    assert TRACE not in urllib.request.urlopen(endpoint).read().decode()

    def kept() -> bool:
        found = scraped.get(
            "query_exemplars", query="grpc_server_handling_seconds_bucket", start="0", end="9999999999"
        )
        return any(each["labels"]["trace_id"] == TRACE for series in found for each in series["exemplars"])

    until(kept)


def test_a_request_id_goes_in_and_out_and_into_the_log(watched: Running, stub: VaeServiceStub) -> None:
    metadata = (("x-request-id", "tests/1"), ("traceparent", TRACEPARENT))
    _, call = stub.Score.with_call(score(), metadata=metadata)
    trailing = dict(call.trailing_metadata())
    assert trailing["x-request-id"] == "tests/1"
    (line,) = lines(watched, "tests/1")
    assert (line["method"], line["code"], line["model"], line["level"]) == ("Score", "OK", MODEL, "INFO")
    assert line["trace_id"] == TRACE
    assert line["batch_rows"] == int(trailing["rdserve-batch-rows"]) == 5
    assert 0 < line["compute_seconds"] < line["seconds"]
    told = {"time", "level", "logger", "message", "request_id", "method", "code", "model", "model_version"}
    times = {"seconds", "queue_seconds", "compute_seconds", "batch_rows", "trace_id"}
    assert set(line) == told | times


@pytest.mark.parametrize("sent", ["", "two words", 'a"quote', "x" * 200])
def test_an_id_that_is_none_is_replaced(watched: Running, stub: VaeServiceStub, sent: str) -> None:
    _, call = stub.Score.with_call(score(), metadata=(("x-request-id", sent),))
    given = dict(call.trailing_metadata())["x-request-id"]
    assert len(given) == 32
    assert len(lines(watched, given)) == 1


def test_a_failed_request_has_its_id_too(watched: Running, stub: VaeServiceStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Score(score("nobody"), metadata=(("x-request-id", "tests/2"),))
    error: Any = caught.value
    assert dict(error.trailing_metadata())["x-request-id"] == "tests/2"
    (line,) = lines(watched, "tests/2")
    assert (line["code"], line["reason"]) == ("NOT_FOUND", "MODEL_NOT_FOUND")
    assert "nobody" not in json.dumps(line)


def test_the_client_shows_where_the_time_went(client: Client, watched: Running) -> None:
    with timings() as calls:
        client.score(MODEL, np.concatenate([IMAGES] * 100))
        client.sample(MODEL, 3)
    client.score(MODEL, IMAGES)
    assert [call.batch_rows for call in calls] == [256, 244, 3]
    assert {call.model_version for call in calls} == {"1.0"}
    assert all(call.compute_seconds > 0 for call in calls)
    assert len(lines(watched, calls[0].request_id)) == 1


def test_a_refused_call_is_named_in_the_clients_error_and_in_the_log(
    client: Client, watched: Running
) -> None:
    with pytest.raises(NotFound) as caught:
        client.score("nobody", IMAGES)
    given = caught.value.request_id
    assert str(caught.value).endswith(f" [request {given}]")
    (line,) = lines(watched, given)
    assert line["code"] == "NOT_FOUND"


def test_score_tells_on_request(watched: Running) -> None:
    asked = ("score", MODEL, "--data", "digits", "--limit", "3", "--server", watched.address)
    shown = rdserve(*asked, "-v")
    assert shown.returncode == 0, shown.stderr
    assert "ms in model version 1.0, batches of up to 3 rows" in shown.stdout
    assert "ms in" not in rdserve(*asked).stdout


def test_the_endpoint_stays_on_loopback(watched: Running) -> None:
    listening = {
        connection.laddr.ip
        for process in watched.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
