"""The Open Inference Protocol beside the service's own methods: the same numbers, by gRPC and by REST."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from front import Front
from grpc_status import rpc_status
from rdserve.client import Client
from rdserve.v1 import inference_pb2 as oip
from rdserve.v1.inference_pb2_grpc import GRPCInferenceServiceStub
from web import Answer, ask

pytestmark = pytest.mark.service

MODEL = "tiny-mpv"
IMAGES = np.random.default_rng(1).random((5, 8, 8)) < 0.3
LATENTS = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)
IDS = np.array([7, 1, 2**64 - 1, 3, 4], np.uint64)


@pytest.fixture(scope="module")
def both(store: Path) -> Iterator[Front]:
    front = Front(store, http=0)
    yield front
    front.stop()


@pytest.fixture(scope="module")
def stub(both: Front) -> Iterator[Any]:
    with grpc.insecure_channel(both.address) as channel:
        yield GRPCInferenceServiceStub(channel)


@pytest.fixture(scope="module")
def client(both: Front) -> Iterator[Client]:
    with Client(both.address) as client:
        yield client


def tensor(name: str, datatype: str, array: Any) -> dict[str, Any]:
    shape, values = list(np.shape(array)), np.ravel(array).tolist()
    return {"name": name, "datatype": datatype, "shape": shape, "data": values}


def infer(both: Front, name: str, inputs: list[dict[str, Any]], **more: Any) -> Answer:
    return ask(both.http, f"/v2/models/{name}/infer", {"inputs": inputs, **more})


def arrays(answer: Answer) -> dict[str, Any]:
    """The outputs of an answer in JSON."""
    assert answer.status == 200, answer.body
    return {each["name"]: np.array(each["data"]).reshape(each["shape"]) for each in answer.json["outputs"]}


ROWS = [
    tensor("images", "UINT8", IMAGES.astype(int)),
    tensor("example_ids", "UINT64", IDS),
]


def test_scores_are_those_of_the_service(both: Front, client: Client) -> None:
    expected = client.score(MODEL, IMAGES, seed=3, example_ids=IDS, n_samples=2)
    found = infer(both, MODEL, ROWS, parameters={"seed": 3, "n_samples": 2}, id="mine", model_name=MODEL)
    outputs = arrays(found)
    np.testing.assert_allclose(outputs["rate_nats"], expected.rate_nats, rtol=1e-5)
    np.testing.assert_allclose(outputs["distortion_nats"], expected.distortion_nats, rtol=1e-5)
    assert (found.json["id"], found.json["model_version"]) == ("mine", "1.0")
    assert found.json["parameters"]["rate_is_exact"] is expected.rate_is_exact
    seeds = [*ROWS, tensor("seed", "UINT64", [3])]
    same = arrays(infer(both, f"{MODEL}:score", seeds, parameters={"n_samples": "2"}))
    np.testing.assert_allclose(same["rate_nats"], expected.rate_nats, rtol=1e-5)


def test_every_operation_answers_alike_by_name_and_by_parameter(both: Front, client: Client) -> None:
    encoded = client.encode(MODEL, IMAGES, seed=3, example_ids=IDS)
    found = arrays(infer(both, f"{MODEL}:encode", ROWS, parameters={"seed": 3}))
    np.testing.assert_allclose(found["latents"], encoded.latents, rtol=1e-4, atol=1e-5)
    latents = [tensor("latents", "FP32", LATENTS)]
    decoded = arrays(infer(both, MODEL, latents, parameters={"operation": "decode", "n_samples": 4}))
    assert decoded["images"].shape == (3, 4, 8, 8)
    assert (decoded["images"] == client.decode(MODEL, LATENTS, n_samples=4).images).all()
    again = arrays(infer(both, f"{MODEL}:reconstruct", ROWS))
    assert again["images"].shape == (5, 1, 8, 8)
    drawn = arrays(infer(both, f"{MODEL}:sample", [], parameters={"n_latents": 40, "seed": 2**64 - 1}))
    assert (drawn["images"] == client.sample(MODEL, 40, seed=2**64 - 1).images).all()


def test_grpc_takes_raw_and_typed_contents(stub: Any, client: Client) -> None:
    expected = client.score(MODEL, IMAGES)
    bare = oip.ModelInferRequest(model_name=MODEL, model_version="1.0")
    bare.inputs.add(name="images", datatype="UINT8", shape=IMAGES.shape)
    raw, typed = oip.ModelInferRequest(), oip.ModelInferRequest()
    raw.CopyFrom(bare)
    raw.raw_input_contents.append(IMAGES.astype(np.uint8).tobytes())
    typed.CopyFrom(bare)
    typed.inputs[0].contents.uint_contents.extend(IMAGES.astype(int).ravel().tolist())
    typed.outputs.add(name="rate_nats")
    for request in (raw, typed):
        answer = stub.ModelInfer(request)
        rates = np.frombuffer(answer.raw_output_contents[0], np.float64)
        np.testing.assert_allclose(rates, expected.rate_nats, rtol=1e-5)
    assert [output.name for output in answer.outputs] == ["rate_nats"]


def test_rest_takes_and_gives_tensors_behind_the_json(both: Front, client: Client) -> None:
    data = IMAGES.astype(np.uint8).tobytes()
    image = {"name": "images", "datatype": "UINT8", "shape": IMAGES.shape}
    head = {
        "inputs": [{**image, "parameters": {"binary_data_size": len(data)}}],
        "outputs": [{"name": "distortion_nats"}, {"name": "rate_nats", "parameters": {"binary_data": False}}],
        "parameters": {"binary_data_output": True},
    }
    text = json.dumps(head).encode()
    answer = ask(
        both.http,
        f"/v2/models/{MODEL}/versions/1.0/infer",
        text + data,
        {"Inference-Header-Content-Length": str(len(text))},
    )
    size = int(answer.headers["inference-header-content-length"])
    first, second = json.loads(answer.body[:size])["outputs"]
    expected = client.score(MODEL, IMAGES)
    assert first["parameters"] == {"binary_data_size": 40}
    np.testing.assert_allclose(np.frombuffer(answer.body[size:]), expected.distortion_nats, rtol=1e-5)
    np.testing.assert_allclose(second["data"], expected.rate_nats, rtol=1e-5)


def test_what_there_is_is_told(both: Front, stub: Any) -> None:
    assert stub.ServerLive(oip.ServerLiveRequest()).live
    assert stub.ServerReady(oip.ServerReadyRequest()).ready
    assert ask(both.http, "/v2/health/live").json == {"live": True}
    assert ask(both.http, "/v2/health/ready").json == {"ready": True}
    assert ask(both.http, f"/v2/models/{MODEL}/ready").json == {"ready": True}
    assert "binary_tensor_data" in ask(both.http, "/v2").json["extensions"]
    told = ask(both.http, f"/v2/models/{MODEL}:encode").json
    assert (told["name"], told["versions"], told["platform"]) == (f"{MODEL}:encode", ["1.0"], "rdserve")
    assert told["inputs"][0] == {"name": "images", "datatype": "UINT8", "shape": [-1, 8, 8]}
    assert told["outputs"][2] == {"name": "latents", "datatype": "FP32", "shape": [-1, -1, 4]}
    config = ask(both.http, f"/v2/models/{MODEL}/config").json
    assert config["max_batch_size"] == 0
    optional = {each["name"]: each["optional"] for each in config["input"]}
    assert optional == {"images": False, "seed": True, "example_ids": True}
    assert config["input"][0]["data_type"] == "TYPE_UINT8"
    index = ask(both.http, "/v2/repository/index", {"ready": True}).json
    assert [(each["name"], each["state"]) for each in index] == [
        (name, "READY") for name in ("tiny-mmm", "tiny-mpv", "tiny-ppp")
    ]


def test_statistics_count_what_was_computed(both: Front) -> None:
    def counted() -> tuple[int, int, int]:
        (found,) = ask(both.http, "/v2/models/tiny-ppp/stats").json["model_stats"]
        stats = found["inference_stats"]
        return found["inference_count"], found["execution_count"], stats["fail"]["count"]

    rows, calls, failed = counted()
    assert infer(both, "tiny-ppp", ROWS).status == 200
    assert infer(both, "tiny-ppp", [tensor("images", "UINT8", [[3]])]).status == 400
    assert counted() == (rows + 5, calls + 1, failed + 1)
    assert len(ask(both.http, "/v2/models/stats").json["model_stats"]) == 3


GOOD = tensor("images", "UINT8", IMAGES.astype(int))
WRONG: dict[str, tuple[object, str]] = {
    "no JSON": (b"{", "no JSON"),
    "no inputs": ({}, "needs an input 'images'"),
    "inputs that are none": ({"inputs": 3}, "none of an inference"),
    "an input that is none": ({"inputs": [3]}, "none of an inference"),
    "no data": ({"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1]}]}, "neither data"),
    "text": ({"inputs": [{**GOOD, "datatype": "BYTES"}]}, "no datatype 'BYTES'"),
    "another type": (
        {"inputs": [{**GOOD, "datatype": "INT64"}]},
        "images are BOOL, UINT8, UINT16, INT32, FP32",
    ),
    "too large a number": ({"inputs": [{**GOOD, "data": [300]}]}, "300"),
    "ragged": ({"inputs": [{**GOOD, "data": [[1], [1, 2]]}]}, "none of an inference"),
    "another shape": ({"inputs": [{**GOOD, "shape": [5, 64]}]}, "takes images of shape"),
    "too few bytes": ({"inputs": [{**GOOD, "shape": [6, 8, 8]}]}, "needs 384 bytes, got 320"),
    "an unknown input": ({"inputs": [GOOD, {**GOOD, "name": "more"}]}, "takes no input 'more'"),
    "an input twice": ({"inputs": [GOOD, GOOD]}, "twice"),
    "an unknown output": ({"inputs": [GOOD], "outputs": [{"name": "x"}]}, "gives no output 'x'"),
    "an unknown operation": ({"inputs": [GOOD], "parameters": {"operation": "x"}}, "no operation 'x'"),
    "an unknown parameter": ({"inputs": [GOOD], "parameters": {"sede": 3}}, "no parameter 'sede'"),
    "a list as a parameter": (
        {"inputs": [GOOD], "parameters": {"seed": [3]}},
        "true, false, a number or text",
    ),
    "half a seed": ({"inputs": [GOOD], "parameters": {"seed": 0.5}}, "seed is a whole number"),
    "a seed below 0": ({"inputs": [GOOD], "parameters": {"seed": -1}}, "seed is a whole number"),
    "a huge seed": ({"inputs": [GOOD], "parameters": {"seed": 2**64}}, ""),
    "ids of another type": (
        {"inputs": [GOOD, tensor("example_ids", "FP32", [1.0] * 5)]},
        "is UINT64 or INT64",
    ),
    "too few ids": ({"inputs": [GOOD, tensor("example_ids", "UINT64", [1])]}, "example_ids has 1 entries"),
    "bytes that are not there": (
        {"inputs": [{**GOOD, "data": None, "parameters": {"binary_data_size": 320}}]},
        "not within the 0 bytes",
    ),
    "another model": ({"inputs": [GOOD], "model_name": "x"}, "model_name is 'x', and 'tiny-mpv' in the path"),
    "an id that is no text": ({"inputs": [GOOD], "id": 3}, "none of an inference"),
    "another member": ({"inputs": [GOOD], "nope": 1}, "no 'nope'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(both: Front, case: str, caplog: pytest.LogCaptureFixture) -> None:
    body, words = WRONG[case]
    answer = ask(both.http, f"/v2/models/{MODEL}/infer", body)
    assert (answer.status, list(answer.json)) == (400, ["error"])
    assert words in answer.json["error"]
    assert answer.headers["rdserve-reason"] == "INVALID_ARGUMENT"
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30, "3"])
def test_a_length_that_is_none(both: Front, length: str) -> None:
    body = {"inputs": [GOOD]}
    answer = ask(both.http, f"/v2/models/{MODEL}/infer", body, {"Inference-Header-Content-Length": length})
    assert answer.status == 400


def test_who_is_not_there(both: Front, stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelMetadata(oip.ModelMetadataRequest(name="nope"))
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
    assert status is not None
    answer = ask(both.http, "/v2/models/nope")
    assert (answer.status, answer.json) == (404, {"error": status.message})
    assert ask(both.http, f"/v2/models/{MODEL}/versions/9").status == 404
    for path in ("/v2/nope", "/v2/models", f"/v2/models/{MODEL}/nope", "/v2/models//infer"):
        assert ask(both.http, path).status == 404


def test_a_page_of_another_origin_is_refused_here_too(both: Front) -> None:
    """Its clients send no content type, so a browser would ask nobody first."""
    answer = ask(
        both.http, f"/v2/models/{MODEL}/infer", {"inputs": [GOOD]}, {"Origin": "http://evil.example"}
    )
    assert answer.status == 403
