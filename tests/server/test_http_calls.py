"""Calls over HTTP beside the same calls over gRPC: one servicer, the same errors, counts and ends."""

import asyncio
import base64
import contextlib
import json
import struct
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from authority import TOKEN
from causes import CAUSES
from google.protobuf.any_pb2 import Any as Packed
from grpc import aio
from grpc_status import rpc_status
from polling import until
from rdserve.server import errors
from rdserve.server.grpc_api.interceptors.auth import RequireToken
from rdserve.server.grpc_api.interceptors.errors import ErrorsToStatus
from rdserve.server.grpc_api.interceptors.telemetry import TelemetryInterceptor
from rdserve.server.grpc_api.interceptors.upload_room import UploadRoom
from rdserve.server.grpc_api.server import SERVICES
from rdserve.server.http import body, connection
from rdserve.server.http.failure import HTTP_STATUS
from rdserve.server.http.server import HttpServer
from rdserve.server.observability.metrics import Metrics
from rdserve.server.security.tokens import Tokens
from rdserve.server.settings import Settings
from rdserve.v1.inference_pb2_grpc import GRPCInferenceServiceServicer
from rdserve.v1.vae_pb2 import GetModelRequest, GetModelResponse, Model, SampleRequest, SampleResponse
from rdserve.v1.vae_pb2_grpc import VaeServiceServicer, VaeServiceStub, add_VaeServiceServicer_to_server

PATH = "/rdserve.v1.VaeService/"
KNOWN = "of-a-caller"

RAISED: dict[str, errors.StatusError] = {
    error.reason: error
    for error in (
        errors.InvalidRequest("3 is not 4", field="images"),
        errors.MissingCredentials("send one"),
        errors.UnknownMethod("/a/B"),
        errors.UnknownModel("nope", ["m"]),
        errors.FailedModel("it fell"),
        errors.ModelNotReady("soon"),
        errors.Stopping(),
        errors.BackendUnavailable("gone"),
        errors.WorkerCrashed("it ended"),
        errors.Overloaded("full", wait_seconds=2.5),
        errors.DeadlineTooShort("m", wait_seconds=5, left_seconds=1),
        errors.OutOfMemory("too large"),
        errors.NumericError("NaN"),
    )
}


class Scripted(VaeServiceServicer):
    """Does what the model's name says."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.left: list[float | None] = []

    async def GetModel(self, request: GetModelRequest, context: Any) -> GetModelResponse:
        self.left.append(context.time_remaining())
        await self._act(request.model)
        return GetModelResponse(model=Model(name=request.model))

    async def Sample(self, request: SampleRequest, context: Any) -> AsyncIterator[SampleResponse]:
        if not request.n_latents:
            await self._act(request.model)
        for _ in range(request.n_latents):
            yield SampleResponse(images={"data": b"12"})
        await self._act(request.model)

    async def _act(self, what: str) -> None:
        self.entered.set()
        if what == "bug":
            raise KeyError("a secret")
        if what in RAISED:
            raise RAISED[what]
        if what == "wait":
            await asyncio.Event().wait()


class Ports(NamedTuple):
    """Both ports over one servicer."""

    grpc: Any
    http: str
    web: aiohttp.ClientSession
    servicer: Scripted
    metrics: Metrics
    room: UploadRoom

    async def post(
        self, method: str, given: object, kind: str = "application/json", **headers: str
    ) -> "Answer":
        data = given if isinstance(given, bytes) else json.dumps(given).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.web.post(
            self.http + PATH + method, data=data, headers={"Content-Type": kind, **headers}
        ) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.read())

    def handled(self) -> Counter[tuple[str, str]]:
        """(method, code) -> calls."""
        return Counter(
            {
                (sample.labels["grpc_method"], sample.labels["grpc_code"]): int(sample.value)
                for family in self.metrics.registry.collect()
                for sample in family.samples
                if sample.name == "grpc_server_handled_total" and sample.value
            }
        )

    async def until_handled(self, method: str, code: str) -> None:
        await asyncio.to_thread(until, lambda: self.handled()[method, code] == 1)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        return {key.lower(): value for key, value in self.headers.items()}.get(name, "")


def details(answer: dict[str, Any]) -> list[Packed]:
    """As Connect's JSON has them."""
    return [
        Packed(
            type_url=f"type.googleapis.com/{each['type']}",
            value=base64.b64decode(each["value"] + "=" * (-len(each["value"]) % 4)),
        )
        for each in answer.get("details", [])
    ]


async def started(most: int = 4, tokens: bool = False) -> AsyncIterator[Ports]:
    metrics, servicer = Metrics(), Scripted()
    known = [RequireToken(Tokens([TOKEN]))] if tokens else []

    def around() -> Any:
        return [TelemetryInterceptor(metrics, SERVICES), ErrorsToStatus(), *known]

    room = UploadRoom(most, slow=0.05, patience=0.2)
    inference = GRPCInferenceServiceServicer()
    http = HttpServer(Settings(models=Path(), http=0), servicer, inference, around(), room)
    server = aio.server(interceptors=around())
    add_VaeServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    address = await http.bind()
    await asyncio.gather(http.start(), server.start())
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel, aiohttp.ClientSession() as web:
        yield Ports(VaeServiceStub(channel), address, web, servicer, metrics, room)
    await asyncio.gather(http.stop(1), server.stop(None))


@pytest.fixture
async def ports() -> AsyncIterator[Ports]:
    async for each in started():
        yield each


@pytest.mark.parametrize("reason", [cause.error.reason for cause in CAUSES])
async def test_every_cause_is_told_alike(ports: Ports, reason: str) -> None:
    """Code, message, details, reason and time to retry: over gRPC, as JSON, protobuf, a stream, lines."""
    what = "bug" if reason == "INTERNAL" else reason
    with pytest.raises(aio.AioRpcError) as caught:
        await ports.grpc.GetModel(GetModelRequest(model=what))
    status = rpc_status.from_call(caught.value)
    assert status is not None
    code = caught.value.code()
    request = GetModelRequest(model=what).SerializeToString()
    unary = [
        await ports.post("GetModel", {"model": what}),
        await ports.post("GetModel", request, "application/proto"),
        await ports.post("Sample", {"model": what}),
    ]
    envelope = struct.pack(">BI", 0, len(request)) + request
    streamed = await ports.post("Sample", envelope, "application/connect+proto")
    (end,) = envelopes(streamed.body)
    told = [(each.status, each, each.json) for each in unary]
    for http_status, answer, error in [*told, (HTTP_STATUS[code], streamed, json.loads(end)["error"])]:
        assert http_status == HTTP_STATUS[code]
        assert error["code"] == ("canceled" if code.name == "CANCELLED" else code.name.lower())
        assert b"secret" not in answer.body
        assert answer.header("rdserve-reason") == reason
        assert answer.header("x-request-id")
        pushback = errors.pushback_ms(RAISED[reason]) if reason in RAISED else -1
        assert answer.header("retry-after") == ("" if pushback < 0 else {1000: "1", 2500: "3"}[pushback])
        if reason != "INTERNAL":  # each has an id of its own
            assert error["message"] == status.message
            assert details(error) == list(status.details)
    codes = {code for (_, code), n in ports.handled().items() if n}
    assert len(codes) == 1


def envelopes(data: bytes) -> list[bytes]:
    """The messages of a stream; the last is its end."""
    found, at, flags = [], 0, 0
    while at < len(data):
        flags, size = struct.unpack_from(">BI", data, at)
        found.append(data[at + 5 : at + 5 + size])
        at += 5 + size
    assert flags == 2
    return found


async def test_an_error_in_the_middle_of_a_stream_follows_what_was_there(ports: Ports) -> None:
    given = {"model": "QUEUE_FULL", "nLatents": 2}
    told = await ports.post("Sample", given, X_Request_Id=KNOWN)
    assert told.header("x-request-id") == KNOWN
    lines = [json.loads(line) for line in told.body.splitlines()]
    assert [line.get("images", {}).get("data") for line in lines[:2]] == ["MTI=", "MTI="]
    assert lines[2]["error"]["code"] == "resource_exhausted"
    data = json.dumps(given).encode()
    answer = await ports.post("Sample", struct.pack(">BI", 0, len(data)) + data, "application/connect+json")
    *messages, end = envelopes(answer.body)
    assert len(messages) == 2
    assert json.loads(end)["error"]["code"] == "resource_exhausted"
    assert json.loads(end)["metadata"]["rdserve-reason"] == ["QUEUE_FULL"]


async def test_request_ids_and_codes_are_those_of_grpc(ports: Ports) -> None:
    answer = await ports.post("GetModel", {"model": "m"}, X_Request_Id=KNOWN)
    assert (answer.status, answer.header("x-request-id")) == (200, KNOWN)
    assert answer.json["model"]["name"] == "m"
    assert answer.header("content-type") == "application/json"
    forged = await ports.post("GetModel", {"model": "m"}, X_Request_Id="two words")
    assert len(forged.header("x-request-id")) == 32
    assert ports.handled() == {("GetModel", "OK"): 2}


@pytest.mark.parametrize("method", ["GetModel", "Sample"])
async def test_a_deadline_ends_a_call(ports: Ports, method: str) -> None:
    answer = await ports.post(method, {"model": "wait"}, Connect_Timeout_Ms="150")
    assert (answer.status, answer.json["code"]) == (504, "deadline_exceeded")
    await ports.until_handled(method, "DeadlineExceeded")


async def test_the_servicer_knows_the_time_that_is_left(ports: Ports) -> None:
    await ports.post("GetModel", {"model": "m"}, Connect_Timeout_Ms="600000")
    await ports.post("GetModel", {"model": "m"})
    left, none = ports.servicer.left
    assert left is not None
    assert 500 < left <= 600
    assert none is None


@pytest.mark.parametrize("method", ["GetModel", "Sample"])
async def test_a_client_that_hangs_up_cancels(ports: Ports, method: str) -> None:
    waiting = asyncio.create_task(
        ports.post(method, {"model": "wait", **({"nLatents": 3} if method == "Sample" else {})})
    )
    await ports.servicer.entered.wait()
    waiting.cancel()
    await ports.until_handled(method, "Canceled")
    assert ports.room.free == 4


async def test_what_breaks_the_protocol_is_counted_as_a_broken_message(ports: Ports) -> None:
    answer = await ports.post("Sample", b"\0\0\0\0\x09{}", "application/connect+json")
    assert json.loads(envelopes(answer.body)[-1])["error"]["code"] == "invalid_argument"
    assert ports.handled() == {("Sample", "InvalidArgument"): 1}


@pytest.mark.parametrize(
    ("kind", "size"),
    [("application/json", body.MAX_JSON_BYTES), ("application/proto", 64 * 2**20)],
)
async def test_bodies_are_bounded_by_their_kind(ports: Ports, kind: str, size: int) -> None:
    async def without_length() -> AsyncIterator[bytes]:
        for _ in range(size // 2**20 + 1):
            yield bytes(2**20)

    headers = {"Content-Type": kind}
    async with ports.web.post(
        ports.http + PATH + "GetModel", data=without_length(), headers=headers
    ) as answer:
        told = await answer.json()
    assert (answer.status, told["code"]) == (400, "invalid_argument")
    assert f"at most {size} bytes" in told["message"]
    await ports.until_handled("GetModel", "InvalidArgument")


async def raw(ports: Ports, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of its own on which this much has been said."""
    host, port = ports.http.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode())
    return reader, writer


def post_head(length: int) -> str:
    return (
        f"POST {PATH}GetModel HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/proto\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )


async def test_uploads_that_do_not_come_give_way_to_those_that_do(ports: Ports) -> None:
    slow = [await raw(ports, post_head(1000)) for _ in range(4)]
    await asyncio.to_thread(until, lambda: ports.room.free == 0)
    assert (await ports.post("GetModel", {"model": "m"})).status == 200
    first = await asyncio.wait_for(slow[0][0].readuntil(b"\r\n"), 60)
    assert first.split()[1] == b"429"
    for _, writer in slow:
        writer.close()
    await asyncio.to_thread(until, lambda: ports.room.free == 4)


async def test_there_is_one_room_for_both_kinds_of_upload(ports: Ports) -> None:
    held = [await ports.room.enter() for _ in range(4)]
    answer = await ports.post("GetModel", {"model": "m"})
    assert (answer.status, answer.header("retry-after")) == (429, "1")
    assert "MiB of messages are here or on their way" in answer.json["message"]
    for each in held:
        ports.room.leave(each)
    assert (await ports.post("GetModel", {"model": "m"})).status == 200


HEADS = {
    "silence": "",
    "half a head": f"POST {PATH}GetModel HTTP/1.1\r\nHost: local",
    "blank lines": "\r\n" * 100,
    "half a second head": "GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\nGET /docs HTTP/1.1\r\nHo",
}


@pytest.mark.parametrize("said", HEADS)
async def test_who_does_not_finish_a_head_is_sent_away(
    ports: Ports, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    reader, writer = await raw(ports, HEADS[said])
    await reader.read()
    assert reader.at_eof()
    writer.close()


async def test_who_does_not_finish_a_body_is_told_and_sent_away(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "SECONDS", 0.2)
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.1)
    reader, writer = await raw(ports, post_head(1000) + "half")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"did not come within 0.2 s" in answer
    writer.close()
    await ports.until_handled("GetModel", "InvalidArgument")


async def test_a_head_without_end_is_refused(ports: Ports) -> None:
    for head in ("x" * 2**19, "X-A: " + "a" * 2**19, "".join(f"X-{n}: {n}\r\n" for n in range(20_000))):
        reader, writer = await raw(ports, f"GET /docs HTTP/1.1\r\nHost: localhost\r\n{head}")
        with contextlib.suppress(ConnectionResetError):  # it was still sending
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_tokens_are_asked_for_before_a_body_is_read() -> None:
    async for ports in started(tokens=True):
        for headers, words in (
            ({}, "asks for a bearer token"),
            ({"Authorization": "Bearer no"}, "not one that"),
        ):
            answer = await ports.post("GetModel", {"model": "m"}, **headers)
            assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
            assert words in answer.json["message"]
        reader, writer = await raw(ports, post_head(2**26))
        assert (await reader.readuntil(b"\r\n")).split()[1] == b"401"
        writer.close()
        right = await ports.post("GetModel", {"model": "m"}, Authorization=f"Bearer {TOKEN}")
        assert right.status == 200
        async with ports.web.get(ports.http + "/docs") as page:
            assert page.status == 200


ALLOWED = ("localhost", "127.0.0.1", "127.0.0.1:1234", "[::1]:80", "10.2.3.4", "LOCALHOST:9")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        *(({"Host": host}, 200) for host in ALLOWED),
        *(
            ({"Host": host}, 421)
            for host in ("evil.example", "localhost.evil.example", "[::1", "", "127.0.0.1.evil")
        ),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
        ({"Host": "localhost:1", "Origin": "http://localhost:2"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
async def test_pages_of_others_and_rebound_names_get_nothing(
    ports: Ports, headers: dict[str, str], status: int
) -> None:
    answer = await ports.post("GetModel", {"model": "m"}, **headers)
    assert answer.status == status
    assert answer.header("access-control-allow-origin") == ""
    policy = answer.header("content-security-policy")
    assert "unsafe" not in policy
    for part in ("default-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"):
        assert part in policy
    assert ports.handled() == ({("GetModel", "OK"): 1} if status == 200 else {})


async def test_links_of_others_lead_to_pages_and_no_preflight_is_granted(ports: Ports) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    for headers, status in ((followed, 200), (embedded, 403)):
        async with ports.web.get(ports.http + "/docs", headers=headers) as page:
            assert page.status == status
    asks = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    async with ports.web.options(ports.http + PATH + "GetModel", headers=asks) as answer:
        assert answer.status == 403
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_what_is_not_there(ports: Ports) -> None:
    assert (await ports.post("Nope", {})).json["code"] == "unimplemented"
    assert (await ports.post("GetModel", b"m", "text/plain")).header("accept-post")
    async with ports.web.get(ports.http + PATH + "GetModel") as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    async with ports.web.get(ports.http + "/nothing") as answer:
        assert answer.status == 404
    assert ports.handled() == {("unknown", "Unimplemented"): 1}
