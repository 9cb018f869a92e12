"""Bytes that no client of ours sends, to the running service: each gets a documented status, none a crash."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from front import Front
from google.rpc import code_pb2, error_details_pb2
from grpc_status import rpc_status
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rdserve.client import Client
from rdserve.v1.vae_pb2 import (
    CompareRequest,
    CompareResponse,
    DecodeRequest,
    EncodeRequest,
    GetModelRequest,
    ListModelsRequest,
    NoiseKeys,
    ReconstructRequest,
    SampleRequest,
    ScoreRequest,
)
from rdserve.wire import tensors
from shared import Shared
from web import ask

VAE, HEALTH = "rdserve.v1.VaeService", "grpc.health.v1.Health"
INFER = "inference.GRPCInferenceService/ModelInfer"
REFLECTION = "grpc.reflection.v1alpha.ServerReflection"
# Statuses that a message can earn; INTERNAL only where the model's own numbers overflow.
ALLOWED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "INTERNAL: NUMERIC_FAILURE"}
MODEL = "tiny-mpv"
IMAGES = tensors.to_message(np.zeros((2, 8, 8), bool))
LATENTS = tensors.to_message(np.zeros((2, 4), np.float32))
NOISE = NoiseKeys(seed=3, example_ids=[5, 2**64 - 1])
VALID: dict[str, Any] = {
    "Encode": EncodeRequest(model=MODEL, images=IMAGES, noise=NOISE, n_samples=2),
    "Decode": DecodeRequest(model=MODEL, latents=LATENTS, noise=NOISE, n_samples=2),
    "Reconstruct": ReconstructRequest(model=MODEL, images=IMAGES, noise=NOISE),
    "Score": ScoreRequest(model=MODEL, images=IMAGES, noise=NOISE, n_samples=3),
    "Compare": CompareRequest(models=[MODEL, "tiny-mmm"], images=IMAGES, noise=NOISE, n_samples=3),
    "Sample": SampleRequest(model=MODEL, n_latents=2, noise=NOISE),
    "GetModel": GetModelRequest(model=MODEL),
    "ListModels": ListModelsRequest(),
}
BYTES = {method: request.SerializeToString() for method, request in VALID.items()}


def outcome(channel: grpc.Channel, method: str, message: bytes, *, timeout: float = 60) -> str:
    """The status of one call whose request is these bytes; an INTERNAL one with its reason."""
    service, _, name = method.rpartition("/")
    path = f"/{service or VAE}/{name}"
    try:
        if REFLECTION in path:
            list(channel.stream_stream(path)(iter([message]), timeout=timeout))
        elif name == "Compare":
            return _worst(channel.unary_stream(path)(message, timeout=timeout))
        elif name in ("Sample", "Watch"):
            next(channel.unary_stream(path)(message, timeout=timeout), None)
        else:
            channel.unary_unary(path)(message, timeout=timeout)
    except grpc.RpcError as error:
        return _described(error)
    return "OK"


def _worst(replies: Iterator[bytes]) -> str:
    """What Compare says of the model that fared worst; OK where all did well."""
    seen = {"OK"}
    for reply in map(CompareResponse.FromString, replies):
        if reply.WhichOneof("result") == "error":
            info = error_details_pb2.ErrorInfo()
            reply.error.details[0].Unpack(info)
            name = code_pb2.Code.Name(reply.error.code)
            seen.add(f"{name}: {info.reason}" if name == "INTERNAL" else name)
    return max(seen, key=lambda outcome: (outcome not in ALLOWED, outcome != "OK"))


def _described(error: Any) -> str:
    code, status = error.code().name, rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    reason = info.reason if status and status.details[0].Unpack(info) else error.details()
    return f"{code}: {reason}" if code == "INTERNAL" else code


@pytest.fixture(scope="module")
def channel(in_process_service: str) -> Iterator[grpc.Channel]:
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(in_process_service, options) as channel:
        yield channel


@pytest.fixture(autouse=True)
def still_answers(in_process_service: str) -> Iterator[None]:
    """After every test here, a good request is answered as before it."""
    with Client(in_process_service) as client:
        before = client.score(MODEL, np.zeros((3, 8, 8), bool), n_samples=2)
        yield
        after = client.score(MODEL, np.zeros((3, 8, 8), bool), n_samples=2)
    np.testing.assert_array_equal(before.rate_nats, after.rate_nats)


def test_the_valid_ones_are_answered(channel: grpc.Channel) -> None:
    assert {outcome(channel, method, message) for method, message in BYTES.items()} == {"OK"}


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def nested(depth: int) -> bytes:
    payload = b""
    for _ in range(depth):
        payload = field(2, payload)
    return payload


def tensor(dtype: int, shape: list[int], data: bytes) -> bytes:
    """A Tensor that protobuf's own classes would not make; sizes are taken modulo 2**64."""
    sizes = b"".join(varint(size % 2**64) for size in shape)
    return varint(1 << 3) + varint(dtype % 2**64) + field(2, sizes) + field(3, data)


def rows(payload: bytes, *rest: bytes) -> bytes:
    """A request for MODEL whose field 2 is this tensor."""
    return field(1, MODEL.encode()) + field(2, payload) + b"".join(rest)


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


GOOD = tensor(4, [2, 8, 8], bytes(16))
CORPUS: dict[str, bytes] = {
    "nothing": b"",
    "zeros": bytes(100),
    "ones": b"\xff" * 100,
    "a varint without end": b"\x08" + b"\xff" * 20,
    "a length beyond the message": b"\x0a\xff\xff\xff\xff\x07" + b"x",
    "a length of 2**63": b"\x0a" + varint(2**63) + b"x",
    "an end of no group": b"\x0c",
    "10,000 groups": b"\x0b" * 10_000,
    "200 messages deep": nested(200),
    "100,000 unknown fields": b"\xf8\x07\x01" * 100_000,
    "field number 0": b"\x00\x01",
    "a name that is no text": field(1, b"\xff\xfe") + field(2, GOOD),
    "a name of a megabyte": field(1, b"n" * 2**20),
    "a name with NUL and line ends": field(1, b"tiny\0\r\n%s{}<>"),
    "the model only": field(1, MODEL.encode()),
    "an image too few": rows(tensor(4, [3, 8, 8], bytes(16))),
    "negative shape": rows(tensor(3, [-1, 8, 8], b"")),
    "negative shapes that cancel": rows(tensor(3, [-2, -8, 8], bytes(128))),
    "product beyond 64 bits": rows(tensor(3, [2**62, 2**62, 2**62], b"")),
    "product that wraps to the size": rows(tensor(3, [2**61 + 1, 8, 8], bytes(64))),
    "2**63 - 1 rows": rows(tensor(4, [2**63 - 1, 8, 8], b"")),
    "no rows": rows(tensor(4, [0, 8, 8], b"")),
    "no columns": rows(tensor(3, [5, 0, 0], b"")),
    "no axes": rows(tensor(3, [], b"\0")),
    "a million axes": rows(tensor(3, [1] * 10**6, b"\0")),
    "dtype 0": rows(tensor(0, [2, 8, 8], bytes(16))),
    "dtype 77": rows(tensor(77, [2, 8, 8], bytes(16))),
    "dtype -1": rows(tensor(-1, [2, 8, 8], bytes(16))),
    "dtype 2**63": rows(tensor(2**63, [2, 8, 8], bytes(16))),
    "NaN pixels": rows(tensor(1, [1, 8, 8], floats(*[float("nan")] * 64))),
    "NaN latents": rows(tensor(1, [1, 4], floats(0, float("nan"), 0, 0))),
    "infinite latents": rows(tensor(1, [1, 4], floats(0, float("-inf"), 0, 0))),
    "the largest latents": rows(tensor(1, [1, 4], floats(3.4e38, -3.4e38, 3.4e38, 3.4e38))),
    "denormal latents": rows(tensor(1, [1, 4], floats(1e-45, -1e-45, 0, -0.0))),
    "2**32 - 1 samples": rows(GOOD, varint(4 << 3) + varint(2**32 - 1)),
    "2**32 - 1 latents": field(1, MODEL.encode()) + varint(2 << 3) + varint(2**32 - 1),
    "a million ids": rows(GOOD, field(3, field(2, bytes(8 * 10**6)))),
    "half an id": rows(GOOD, field(3, field(2, bytes(7)))),
    "two tensors in one": rows(GOOD, field(2, GOOD)),
    "every field twice": (rows(GOOD, field(3, b"\x08\x01"))) * 2,
    "a tensor of text": rows(b"not a tensor at all"),
}


@pytest.mark.parametrize("method", [*BYTES, INFER, f"{HEALTH}/Check", f"{HEALTH}/Watch"])
def test_corpus(channel: grpc.Channel, method: str) -> None:
    outcomes = {case: outcome(channel, method, message) for case, message in CORPUS.items()}
    assert {case: got for case, got in outcomes.items() if got not in ALLOWED} == {}


@pytest.fixture(scope="module")
def both(store: Path) -> Iterator[Front]:
    front = Front(store, http=0)
    yield front
    front.stop()


def outcome_over_http(address: str, method: str, message: bytes) -> str:
    """The same of a POST of these bytes."""
    stream = method in ("Compare", "Sample")
    kind, size = ("connect+proto", len(message)) if stream else ("proto", 0)
    body = struct.pack(">BI", 0, size) + message if stream else message
    answer = ask(address, f"/{VAE}/{method}", body, {"Content-Type": f"application/{kind}"})
    if stream:
        code = re.search(rb'"error": {"code": "(\w+)"', answer.body)
        return code[1].decode().upper() if code else "OK"
    if answer.status == 200:
        return "OK"
    code_, reason = answer.json["code"].upper(), answer.headers["rdserve-reason"]
    return f"INTERNAL: {reason}" if code_ == "INTERNAL" else str(code_)


@pytest.mark.parametrize("method", BYTES)
def test_corpus_over_http_ends_as_over_grpc(both: Front, method: str) -> None:
    with grpc.insecure_channel(both.address) as channel:
        for case, message in CORPUS.items():
            over_http = outcome_over_http(both.http, method, message)
            if method == "Compare":  # what is wrong for one model is that model's, in a message
                assert over_http in ALLOWED, case
            else:
                assert over_http == outcome(channel, method, message), case


@pytest.mark.parametrize("case", CORPUS)
def test_reflection_refuses_too(channel: grpc.Channel, case: str) -> None:
    assert outcome(channel, f"{REFLECTION}/ServerReflectionInfo", CORPUS[case]) in ALLOWED


def test_workers_of_torchserve_survive_the_corpus(torchserve_service: Shared) -> None:
    before = torchserve_service.workers()
    with grpc.insecure_channel(torchserve_service.address) as channel:
        for method in BYTES:
            outcomes = {case: outcome(channel, method, message) for case, message in CORPUS.items()}
            assert {case: got for case, got in outcomes.items() if got not in ALLOWED} == {}
            assert outcome(channel, method, BYTES[method]) == "OK"
    assert torchserve_service.workers() == before


def test_malformed_bytes_say_so(channel: grpc.Channel) -> None:
    for method in BYTES:
        with pytest.raises(grpc.RpcError) as caught:
            list(channel.unary_stream(f"/{VAE}/{method}")(b"\xff" * 100))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
        assert "the 100 bytes of the request are no message" in caught.value.details()  # type: ignore[attr-defined]


fuzz = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@fuzz
@given(method=st.sampled_from(list(BYTES)), message=st.binary(max_size=200))
def test_random_bytes(channel: grpc.Channel, method: str, message: bytes) -> None:
    assert outcome(channel, method, message) in ALLOWED


@fuzz
@given(data=st.data(), method=st.sampled_from(list(BYTES)[:5]))
def test_valid_messages_with_a_few_bytes_changed(
    channel: grpc.Channel, data: st.DataObject, method: str
) -> None:
    message = bytearray(BYTES[method])
    for _ in range(data.draw(st.integers(1, 3))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(message)))
    assert outcome(channel, method, bytes(message[:cut] if cut % 3 == 0 else message)) in ALLOWED


@fuzz
@given(
    method=st.sampled_from(["Encode", "Decode", "Reconstruct", "Score"]),
    dtype=st.integers(-1, 5),
    shape=st.lists(st.sampled_from([-1, 0, 1, 2, 4, 8, 2**31, 2**63 - 1]), max_size=4),
    data=st.binary(max_size=300),
    samples=st.sampled_from([0, 1, 3, 5000, 2**32 - 1]),
)
def test_tensors_whose_parts_disagree(
    channel: grpc.Channel, method: str, dtype: int, shape: list[int], data: bytes, samples: int
) -> None:
    message = rows(tensor(dtype, shape, data), varint(4 << 3) + varint(samples))
    assert outcome(channel, method, message) in ALLOWED


def test_a_small_message_that_unpacks_to_a_huge_one_is_refused(in_process_service: str) -> None:
    """gzip makes 128 KiB of 128 MiB of zeros: the limit is on what they unpack to."""
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(in_process_service, options, compression=grpc.Compression.Gzip) as bomb:
        assert outcome(bomb, "Score", field(1, bytes(2**27))) == "RESOURCE_EXHAUSTED"
        assert outcome(bomb, "Score", BYTES["Score"]) == "OK"


def test_messages_beyond_the_limit_are_refused_as_they_come(channel: grpc.Channel) -> None:
    assert outcome(channel, "Score", field(1, bytes(2**26 + 1))) == "RESOURCE_EXHAUSTED"


def test_unknown_methods_and_services(channel: grpc.Channel) -> None:
    for method in ("Nope", "nobody.at.All/Nothing", "rdserve.v1.VaeService/", "grpc.health.v1.Health/Nope"):
        assert outcome(channel, method, b"\xff") == "UNIMPLEMENTED"
