"""Tokens: what the file may hold, who gets in, and what nobody ever sees."""

import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from authority import TOKEN, secret
from google.rpc import error_details_pb2
from grpc import aio
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub, add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from grpc_status import rpc_status
from rdserve.server.grpc_api.interceptors.auth import RequireToken
from rdserve.server.grpc_api.interceptors.errors import ErrorsToStatus
from rdserve.server.security import tokens
from rdserve.server.security.tokens import Tokens
from rdserve.server.settings import SettingsError
from rdserve.v1.vae_pb2 import ListModelsRequest, ListModelsResponse, SampleRequest, SampleResponse
from rdserve.v1.vae_pb2_grpc import VaeServiceServicer, VaeServiceStub, add_VaeServiceServicer_to_server

OTHER = "another-token-of-some-length"
Metadata = tuple[tuple[str, str], ...]


class Empty(VaeServiceServicer):
    async def ListModels(self, request: Any, context: Any) -> ListModelsResponse:
        return ListModelsResponse()

    async def Sample(self, request: Any, context: Any) -> AsyncIterator[SampleResponse]:
        yield SampleResponse()


@pytest.fixture
async def channel() -> AsyncIterator[aio.Channel]:
    server = aio.server(interceptors=[ErrorsToStatus(), RequireToken(Tokens([OTHER, TOKEN]))])
    add_VaeServiceServicer_to_server(Empty(), server)
    add_HealthServicer_to_server(health_aio.HealthServicer(), server)
    reflection.enable_server_reflection(["rdserve.v1.VaeService"], server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


async def everything(channel: aio.Channel, metadata: Metadata) -> None:
    """One call of each kind that wants a token."""
    stub: Any = VaeServiceStub(channel)
    await stub.ListModels(ListModelsRequest(), metadata=metadata)
    assert [part async for part in stub.Sample(SampleRequest(), metadata=metadata)]
    ask = ServerReflectionRequest(list_services="")
    reflected: Any = ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]), metadata=metadata)
    assert [answer async for answer in reflected]


@pytest.mark.parametrize("token", [TOKEN, OTHER])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_each_token_opens_every_method(channel: aio.Channel, token: str, scheme: str) -> None:
    await everything(channel, (("authorization", f"{scheme} {token}"),))


WRONG: dict[str, tuple[Metadata, str]] = {
    "none": ((), "asks for a bearer token"),
    "unknown": ((("authorization", "Bearer " + TOKEN[:-1] + "x"),), "not one that this service knows"),
    "prefix": ((("authorization", "Bearer " + TOKEN[:-1]),), "not one that this service knows"),
    "empty": ((("authorization", "Bearer "),), "not one that this service knows"),
    "other scheme": ((("authorization", f"Basic {TOKEN}"),), "bearer tokens only"),
    "no scheme": ((("authorization", TOKEN),), "bearer tokens only"),
    "two": ((("authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {TOKEN}")), "asks for"),
    "other key": ((("x-token", TOKEN),), "asks for a bearer token"),
}
METHODS = ["rdserve.v1.VaeService/ListModels", "rdserve.v1.VaeService/Sample", "rdserve.v1.VaeService/Nope"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", WRONG)
async def test_any_other_is_unauthenticated(channel: aio.Channel, method: str, case: str) -> None:
    metadata, says = WRONG[case]
    with pytest.raises(aio.AioRpcError) as caught:
        await channel.unary_unary(f"/{method}")(b"not even a message \xff", metadata=metadata)  # type: ignore[arg-type]
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason) == ("rdserve", "UNAUTHENTICATED")
    assert says in status.message
    assert TOKEN[:-1] not in str(caught.value)


async def test_reflection_wants_a_token_and_health_does_not(channel: aio.Channel) -> None:
    health: Any = HealthStub(channel)
    assert (await health.Check(HealthCheckRequest())).status
    call: Any = ServerReflectionStub(channel).ServerReflectionInfo()
    with pytest.raises(aio.AioRpcError) as caught:  # refused before anything was asked
        await call.read()
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_every_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(tokens.hmac, "compare_digest", compare)
    known = Tokens([TOKEN, OTHER, OTHER + "2"])
    assert known.accept(TOKEN.encode())
    assert not known.accept(b"")
    assert len(compared) == 6
    assert {len(side) for pair in compared for side in pair} == {32}
    assert TOKEN not in str(vars(known))


def test_a_file_holds_a_token_per_line(tmp_path: Path) -> None:
    tokens = Tokens.read(secret(tmp_path / "tokens", f"{TOKEN}\r\n\n  {OTHER}  \n"))
    assert tokens.accept(TOKEN.encode())
    assert tokens.accept(OTHER.encode())
    assert not tokens.accept(b"")


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        (TOKEN, 0o644, "mode 0644.*chmod 600"),
        (TOKEN, 0o602, "mode 0602"),
        ("", 0o600, "holds 0 tokens"),
        (f"{TOKEN}\nshort\n", 0o600, "line 2: a token has 16 to 512"),
        (f"{TOKEN} with words\n", 0o600, "line 1"),
        ("\n".join(f"{TOKEN}{i}" for i in range(1001)), 0o600, "holds 1001 tokens; give 1 to 1000"),
        ("a" * (2**20 + 1), 0o600, "more than 1048576 bytes"),
    ],
)
def test_a_token_file_that_is_none_is_refused(tmp_path: Path, text: str, mode: int, says: str) -> None:
    path = secret(tmp_path / "tokens", text, mode)
    with pytest.raises(SettingsError, match=says) as caught:
        Tokens.read(path)
    assert TOKEN not in str(caught.value)


def test_no_token_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read the token file .*nowhere: No such file"):
        Tokens.read(tmp_path / "nowhere")
