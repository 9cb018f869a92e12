"""The HTTP port of a real service: every method, its own end, TLS, and hostile bytes."""

import contextlib
import gzip
import http.client
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from authority import TOKEN, Authority, secret
from connectrpc.client import ConnectClient
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from front import Front
from google.protobuf.json_format import MessageToDict
from rdserve.server.app import StartError
from rdserve.server.http.body import MAX_JSON_BYTES
from rdserve.server.http.json_codec import MAX_VALUES
from rdserve.server.settings import SettingsError
from rdserve.v1 import vae_pb2 as v1
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from rdserve.wire import tensors
from rdserve.wire.limits import MIB
from running import Running, start_with, until_line, until_serving
from web import JSON, VAE, ask

pytestmark = pytest.mark.service

StartFront = Callable[..., Front]

IMAGES = np.random.default_rng(1).random((5, 8, 8)) < 0.3
LATENTS = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)
NOISE = v1.NoiseKeys(seed=2**64 - 1, example_ids=[5, 4, 3, 2, 2**64 - 1])
BOTH = tensors.to_message(IMAGES)
REQUESTS: dict[str, Any] = {
    "ListModels": v1.ListModelsRequest(),
    "GetModel": v1.GetModelRequest(model="tiny-mpv"),
    "Encode": v1.EncodeRequest(model="tiny-mpv", images=BOTH, noise=NOISE, n_samples=2),
    "Decode": v1.DecodeRequest(model="tiny-mpv", latents=tensors.to_message(LATENTS)),
    "Reconstruct": v1.ReconstructRequest(model="tiny-mpv", images=BOTH, noise=NOISE),
    "Score": v1.ScoreRequest(model="tiny-mpv", images=BOTH, noise=NOISE),
    "Sample": v1.SampleRequest(model="tiny-mpv", n_latents=40),
    "Compare": v1.CompareRequest(models=["tiny-mpv", "nope"], images=BOTH),
}


@pytest.fixture(scope="module")
def both(store: Path) -> Iterator[Front]:
    front = Front(store, http=0)
    yield front
    front.stop()


@pytest.fixture(scope="module")
def over_grpc(both: Front) -> Iterator[VaeServiceStub]:
    with grpc.insecure_channel(both.address) as channel:
        yield VaeServiceStub(channel)


def answers(stub: VaeServiceStub, method: str) -> list[Any]:
    found: Any = getattr(stub, method)(REQUESTS[method])
    return list(found) if method in ("Sample", "Compare") else [found]


def as_json(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    return found


@pytest.mark.parametrize("method", REQUESTS)
def test_every_method_answers_as_over_grpc(both: Front, over_grpc: VaeServiceStub, method: str) -> None:
    expected = answers(over_grpc, method)
    answer = ask(both.http, VAE + method, MessageToDict(REQUESTS[method]))
    assert answer.status == 200
    kind = "application/x-ndjson" if method in ("Sample", "Compare") else "application/json"
    assert answer.headers["content-type"] == kind
    sort = lambda found: sorted(found, key=json.dumps)  # noqa: E731 - models of a comparison come in any order
    assert sort(answer.lines) == sort(map(as_json, expected))


@pytest.mark.parametrize("codec", [google_protobuf_binary_codec(), google_protobuf_json_codec()])
async def test_the_official_client_is_served(both: Front, over_grpc: VaeServiceStub, codec: Any) -> None:
    """connectrpc's own, as it comes: it packs its requests with gzip."""
    service = v1.DESCRIPTOR.services_by_name["VaeService"]

    def method(name: str) -> Any:
        found = service.methods_by_name[name]
        return MethodInfo(
            name=name,
            service_name=service.full_name,
            input=getattr(v1, found.input_type.name),
            output=getattr(v1, found.output_type.name),
            idempotency_level=IdempotencyLevel.UNKNOWN,
            stream_type=StreamType.SERVER_STREAM if found.server_streaming else StreamType.UNARY,
        )

    async with ConnectClient(both.http, codec=codec) as client:
        for name in ("GetModel", "Score"):
            answer = await client.execute_unary(request=REQUESTS[name], method=method(name))
            assert [answer] == answers(over_grpc, name)
        stream = client.execute_server_stream(request=REQUESTS["Sample"], method=method("Sample"))
        assert [message async for message in stream] == answers(over_grpc, "Sample")
        with pytest.raises(ConnectError, match="no model 'nope' here") as caught:
            await client.execute_unary(request=v1.GetModelRequest(model="nope"), method=method("GetModel"))
        assert caught.value.code.name == "NOT_FOUND"
        assert caught.value.details[0].type_name == "google.rpc.ErrorInfo"


def test_tensors_may_be_nested_lists(both: Front, over_grpc: VaeServiceStub) -> None:
    typed = {"model": "tiny-mpv", "images": IMAGES.astype(int).tolist(), "noise": MessageToDict(NOISE)}
    assert ask(both.http, VAE + "Score", typed).json == as_json(answers(over_grpc, "Score")[0])
    latents = {"model": "tiny-mpv", "latents": LATENTS.tolist()}
    assert ask(both.http, VAE + "Decode", latents).json == as_json(answers(over_grpc, "Decode")[0])
    whole = {"model": "tiny-mpv", "latents": [[0, 1, 2, 3]]}
    assert ask(both.http, VAE + "Decode", whole).status == 200


MALFORMED: dict[str, object] = {
    "nothing": b"",
    "no JSON": b"{",
    "no object": b"[]",
    "a number": b"3",
    "not UTF-8": b'{"model": "\xff"}',
    "100,000 deep": b"[" * 100_000,
    "10,000 objects deep": b'{"a":' * 10_000,
    "a name twice": b'{"model": "a", "model": "b"}',
    "5,000 digits": b'{"nSamples": ' + b"9" * 5000 + b"}",
    "no number": b'{"nSamples": NaN}',
    "a lone surrogate": b'{"model": "\\ud800"}',
    "an unknown field": {"model": "tiny-mpv", "nope": 1},
    "an unknown dtype": {"model": "tiny-mpv", "images": {"dtype": "DTYPE_NOPE"}},
    "no base64": {"model": "tiny-mpv", "images": {"data": "***"}},
    "a negative count": {"model": "tiny-mpv", "nSamples": -1},
    "2**32": {"model": "tiny-mpv", "nSamples": 2**32},
    "a list of a list": {"model": ["tiny-mpv"]},
    "images that are text": {"model": "tiny-mpv", "images": "0101"},
    "ragged rows": {"model": "tiny-mpv", "images": [[0, 1], [0]]},
    "rows of text": {"model": "tiny-mpv", "images": [["0", "1"]]},
    "rows of objects": {"model": "tiny-mpv", "images": [[{}, {}]]},
    "empty rows": {"model": "tiny-mpv", "images": [[]]},
    "grey rows": {"model": "tiny-mpv", "images": [[[0.5] * 8] * 8]},
    "huge numbers": {"model": "tiny-mpv", "images": [[[10**30] * 8] * 8]},
    "more values than a list may have": b'{"images": [' + b"0," * (MAX_VALUES + 1) + b"0]}",
    "an error as a request": {"error": {"code": "ok"}},
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_json_is_a_callers_mistake(
    both: Front, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    for method in ("Score", "Sample", "Compare"):
        answer = ask(both.http, VAE + method, MALFORMED[case])
        assert (answer.status, answer.json["code"]) == (400, "invalid_argument")
        assert answer.headers["rdserve-reason"] == "INVALID_ARGUMENT"
        assert "Traceback" not in answer.body.decode()
    assert "Traceback" not in caplog.text


HEADERS: dict[str, dict[str, str]] = {
    "a negative deadline": {"Connect-Timeout-Ms": "-1"},
    "a deadline of 20 digits": {"Connect-Timeout-Ms": "9" * 20},
    "another version": {"Connect-Protocol-Version": "2"},
    "packed, and it is not": {"Content-Encoding": "gzip"},
    "an encoding that nobody has": {"Content-Encoding": "zstd"},
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_that_make_no_sense(both: Front, case: str) -> None:
    answer = ask(both.http, VAE + "GetModel", {"model": "tiny-mpv"}, {**JSON, **HEADERS[case]})
    assert answer.json["code"] in ("invalid_argument", "unimplemented")


def test_headers_that_are_no_text_are_not_the_service_s_fault(both: Front) -> None:
    odd = {**JSON, "X-Request-Id": "\xff\xfe", "Connect-Timeout-Ms": "\xff"}
    assert ask(both.http, VAE + "GetModel", {"model": "tiny-mpv"}, odd).status == 200


def test_a_small_body_that_unpacks_to_a_huge_one_is_refused(both: Front) -> None:
    for kind, unpacked in (("proto", 2**27), ("json", 2 * MAX_JSON_BYTES)):
        headers = {"Content-Type": f"application/{kind}", "Content-Encoding": "gzip"}
        bomb = gzip.compress(b" " * unpacked, 9)
        answer = ask(both.http, VAE + "Score", bomb, headers)
        assert answer.json["code"] in ("resource_exhausted", "invalid_argument")
    assert ask(both.http, VAE + "Score", MessageToDict(REQUESTS["Score"])).status == 200


def test_what_is_no_http_is_hung_up_on(both: Front) -> None:
    host, port = both.http.removeprefix("http://").rsplit(":", 1)
    rng = np.random.default_rng(0)
    for opening in (
        rng.bytes(1000),
        b"\x16\x03\x01" + rng.bytes(500),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rng.bytes(100),
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection((host, int(port))) as connection, contextlib.suppress(OSError):
            connection.sendall(opening)
            data = connection.recv(2**16)
            assert not data or data.split()[1] in (b"400", b"404", b"421")
    assert ask(both.http, VAE + "ListModels", {}).status == 200


def test_metrics_log_and_traces_hold_calls_of_both_ports(
    both: Front, over_grpc: VaeServiceStub, caplog: pytest.LogCaptureFixture
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    scrape = both.lines[0].removeprefix("metrics on ")
    series = 'grpc_server_handled_total{grpc_code="NotFound",grpc_method="GetModel"'

    def count() -> float:
        text = ask(scrape, "/metrics").body.decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(series))

    before = count()
    headers = {**JSON, "traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-Id": "mine"}
    with caplog.at_level("INFO", "rdserve.request"):
        assert ask(both.http, VAE + "GetModel", {"model": "nope"}, headers).status == 404
    assert count() == before + 1
    (facts,) = [record.facts for record in caplog.records if record.facts["request_id"] == "mine"]  # type: ignore[attr-defined]
    assert (facts["method"], facts["code"], facts["trace_id"]) == ("GetModel", "NOT_FOUND", trace)


# The port itself.


def test_nothing_of_it_is_imported_without_the_option(store: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rdserve.server.app import Server;"
        "from rdserve.server.settings import Settings;"
        f"Server(Settings(models=Path({str(store)!r}), backend='in-process'), print); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"connectrpc", "uvicorn", "rdserve.server.http"} & set(done.stdout.split())


def test_what_it_needs_is_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdserve.server.http.server", None)
    with pytest.raises(SettingsError, match=r"pip install 'rdserve\[http\]'"):
        Front(store, http=0)


def test_a_taken_port_is_told_before_models_load(store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"HTTP on 127.0.0.1:{port}: Address already in use"):
            Front(store, http=port)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def client_context(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.pem))


def test_tls_tokens_and_a_renewed_certificate(
    front: StartFront, store: Path, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pem = authority.issue("http", "localhost", "127.0.0.1")
    tokens = secret(tmp_path / "tokens", TOKEN)
    running = front(store, http=0, host="127.0.0.1", tls_cert=pem.cert, tls_key=pem.key, token_file=tokens)
    assert running.http.startswith("https://")
    trust, bearer = client_context(authority), {**JSON, "Authorization": f"Bearer {TOKEN}"}

    def serial() -> Any:
        where = running.http.removeprefix("https://").rsplit(":", 1)
        with (
            socket.create_connection((where[0], int(where[1]))) as plain,
            trust.wrap_socket(plain, server_hostname="localhost") as wrapped,
        ):
            return wrapped.getpeercert(binary_form=True)

    assert ask(running.http, VAE + "ListModels", {}, bearer, trust=trust).status == 200
    assert ask(running.http, VAE + "ListModels", {}, trust=trust).status == 401
    first = serial()
    authority.issue("http", "localhost", "127.0.0.1")
    assert (second := serial()) != first
    pem.cert.write_text("half a renewal")
    assert serial() == second
    assert "the TLS certificate stays as it was" in caplog.text
    authority.issue("http", "localhost", "127.0.0.1")
    assert serial() not in (first, second)


def test_mutual_tls_asks_who_calls(
    front: StartFront, store: Path, authority: Authority, tmp_path: Path
) -> None:
    pem = authority.issue("mutual", "localhost", "127.0.0.1")
    running = front(store, http=0, tls_cert=pem.cert, tls_key=pem.key, tls_client_ca=authority.pem)
    with pytest.raises(OSError):  # noqa: PT011 - which of the ends hangs up first is chance
        ask(running.http, VAE + "ListModels", {}, trust=client_context(authority))
    known = client_context(authority)
    known.load_cert_chain(*authority.issue("somebody", "somebody"))
    assert ask(running.http, VAE + "ListModels", {}, trust=known).status == 200
    stranger = client_context(authority)
    stranger.load_cert_chain(*Authority(tmp_path).issue("stranger", "somebody"))
    with pytest.raises(OSError):  # noqa: PT011
        ask(running.http, VAE + "ListModels", {}, trust=stranger)


# Its end, and floods.


def opened(front: Front, port: str, rows: int) -> Iterator[int]:
    """How many rows of a Sample come at a time over a port."""
    request = v1.SampleRequest(model="tiny-mmm", n_latents=rows)
    if port == "grpc":
        with grpc.insecure_channel(front.address) as channel:
            for message in VaeServiceStub(channel).Sample(request):
                yield message.latents.shape[0]
        return
    host, number = front.http.removeprefix("http://").rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(number), timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", VAE + "Sample", json.dumps(MessageToDict(request)), JSON)
        with connection.getresponse() as answer:
            for line in answer:
                yield int(json.loads(line)["latents"]["shape"][0])


@pytest.mark.parametrize("port", ["grpc", "http"])
def test_what_is_under_way_is_finished_and_nothing_new_is_begun(
    front: StartFront, store: Path, port: str
) -> None:
    running = front(store, http=0, grace_seconds=600.0)
    rows = opened(running, port, 5000)
    first = next(rows)
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(running.stop)
        assert first + sum(rows) == 5000
        stopping.result()
    with pytest.raises(OSError):  # noqa: PT011 - there is nobody
        ask(running.http, VAE + "ListModels", {})


@pytest.mark.parametrize("port", ["grpc", "http"])
def test_what_outlasts_the_grace_period_is_cut_off(front: StartFront, store: Path, port: str) -> None:
    running = front(store, http=0, grace_seconds=0.0)
    rows = opened(running, port, 100_000)
    next(rows)
    running.stop()
    with pytest.raises((grpc.RpcError, http.client.HTTPException, OSError, KeyError)):
        for _ in rows:
            pass


@pytest.fixture(scope="module")
def narrow(checkpoints: Path) -> Iterator[tuple[Running, str]]:
    """A service that takes two messages at a time, in a process of its own, and where its HTTP is."""
    running = start_with(checkpoints / "tiny-mmm", backend="in-process", max_uploads=2, http=0)
    address = until_line(running, "HTTP on ").rsplit(" ", 1)[1]
    yield until_serving(running), address
    running.stop()


def peak(process: int) -> int:
    """Bytes that it ever held in memory."""
    (line,) = (x for x in Path(f"/proc/{process}/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_memory_is_bounded_whatever_is_uploaded_at_once(narrow: tuple[Running, str]) -> None:
    running, address = narrow
    images = v1.Tensor(dtype=v1.DTYPE_UINT8, shape=[10, 2048, 2048], data=bytes(40 * MIB))
    binary = v1.ScoreRequest(model="tiny-mmm", images=images).SerializeToString()
    text = json.dumps({"model": "tiny-mmm", "images": {"data": "A" * (MAX_JSON_BYTES - 100)}}).encode()
    before = psutil.Process(running.pid).memory_info().rss
    uploads = [(binary, {"Content-Type": "application/proto"}), (text, JSON)] * 8
    with ThreadPoolExecutor(len(uploads)) as pool:
        found = list(pool.map(lambda upload: ask(address, VAE + "Score", *upload), uploads))
    assert {answer.status for answer in found} <= {400, 429}
    assert any(answer.json["code"] == "invalid_argument" for answer in found)
    # As for gRPC: two on their way, more than once while joined and parsed, and what the allocator keeps.
    assert peak(running.pid) - before < 0.75 * len(uploads) * 40 * MIB


def test_others_are_answered_in_a_flood(narrow: tuple[Running, str]) -> None:
    running, address = narrow
    host, port = address.removeprefix("http://").rsplit(":", 1)
    head = f"POST {VAE}Score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/proto\r\n"
    openings = {
        "": 100,
        "GET /docs HTTP/1.1\r\nHo": 100,
        f"{head}Content-Length: 60000000\r\n\r\nsome": 20,
        f"{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n": 20,
        "GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100: 20,
    }
    before = psutil.Process(running.pid).memory_info().rss
    with contextlib.ExitStack() as stack:
        for opening, times in openings.items():
            for _ in range(times):
                connection = stack.enter_context(socket.create_connection((host, int(port))))
                connection.sendall(opening.encode())
        assert ask(address, VAE + "ListModels", {}).status == 200
        with grpc.insecure_channel(running.address) as channel:
            assert len(VaeServiceStub(channel).ListModels(v1.ListModelsRequest()).models) == 1
        assert psutil.Process(running.pid).memory_info().rss - before < 64 * MIB
