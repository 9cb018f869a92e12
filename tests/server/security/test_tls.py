"""TLS as the client and the command line meet it: one real service, and servers of this process."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from authority import TOKEN, Authority, Pem, secret
from grpc import aio
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub, add_HealthServicer_to_server
from rdserve.cli.exits import Code
from rdserve.client import AsyncClient, Client, InputError, errors
from rdserve.client.address import is_local
from rdserve.client.channel import Security, credentials
from rdserve.loadtest.requests import bodies
from rdserve.loadtest.routes import Front
from rdserve.server.security.tls import server_credentials
from rdserve.server.settings import Settings, SettingsError
from running import Running, start_service, until_serving
from shell import rdserve

pytestmark = pytest.mark.service

HOSTS = ("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pem(authority: Authority) -> Pem:
    return authority.issue("server", *HOSTS)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return secret(tmp_path_factory.mktemp("tokens") / "tokens", TOKEN + "\n")


@pytest.fixture(scope="module")
def open_service(store: Path, pem: Pem, tokens: Path) -> Iterator[Running]:
    """A service that listens on every address, with TLS and a token."""
    secrets = ("--tls-cert", str(pem.cert), "--tls-key", str(pem.key), "--token-file", str(tokens))
    running = until_serving(
        start_service(store, "--backend", "in-process", "--host", "0.0.0.0", *secrets),
    )
    yield running
    running.stop()


@pytest.fixture(scope="module")
def address(open_service: Running) -> str:
    return "localhost:" + open_service.address.rsplit(":", 1)[1]


def test_the_token_opens_the_service_over_tls(address: str, authority: Authority) -> None:
    with Client(address, tls=authority.pem, token=TOKEN) as client:
        client.wait_for_ready()
        assert len(client.models()) == 3
        assert len(client.sample("tiny-mmm", 3).latents) == 3


async def test_it_opens_it_to_an_asyncio_client_too(address: str, authority: Authority) -> None:
    async with AsyncClient(address, tls=authority.pem, token=TOKEN) as client:
        await client.wait_for_ready()
        assert len(await client.models()) == 3
    async with AsyncClient(address, tls=authority.pem, token="another") as stranger:
        with pytest.raises(errors.Unauthenticated):
            await stranger.models()
    async with AsyncClient(address, timeout=1) as stranger:
        with pytest.raises(errors.Untrusted, match="hangs up at once; does it ask for TLS"):
            await stranger.models()


def test_who_lacks_the_token_or_the_authority_is_told(address: str, authority: Authority) -> None:
    for token in (None, "not-the-token-of-this-service"):
        with (
            Client(address, tls=authority.pem, token=token) as client,
            pytest.raises(errors.Unauthenticated) as caught,
        ):
            client.models()
        assert caught.value.reason == "UNAUTHENTICATED"
    untrusted, unencrypted = "certificate is not trusted", "hangs up at once; does it ask for TLS"
    other_name = address.replace("localhost", "127.0.0.2")
    for options, where, words in (
        ({"tls": True}, address, untrusted),
        ({}, address, unencrypted),
        ({"tls": authority.pem}, other_name, "certificate is of another host"),
    ):
        with (
            Client(where, timeout=1, **options) as stranger,  # type: ignore[arg-type]
            pytest.raises(errors.Untrusted, match=words),
        ):
            stranger.models()


def test_commands_take_token_and_authority(
    address: str, authority: Authority, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("models", "--server", address, "--tls-ca", authority.pem)
    assert "tiny-mpv" in rdserve(*command, "--token-file", tokens).stdout
    refused = rdserve(*command)
    assert refused.returncode == Code.UNAVAILABLE
    assert "Give a token with --token-file or RDSERVE_TOKEN" in refused.stderr
    monkeypatch.setenv("RDSERVE_TOKEN", TOKEN)
    assert "tiny-mpv" in rdserve(*command).stdout
    for options, words in ((("--tls",), "certificate is not trusted"), ((), "does it ask for TLS")):
        (line,) = rdserve("models", "--server", address, *options, "--timeout", "1").stderr.splitlines()
        assert words in line
        assert "See --tls, --tls-ca" in line
        assert "Is it running" not in line
    plain = rdserve("models", "--server", "rdserve.example.org:50051")
    assert plain.returncode == Code.USAGE
    assert "rdserve.example.org:50051 is not this machine" in plain.stderr
    assert TOKEN not in plain.stderr


async def test_a_benchmark_takes_token_and_authority(
    address: str, authority: Authority, tokens: Path
) -> None:
    security = Security(tls=authority.pem, token=TOKEN)
    front = Front(address, credentials(security), security.metadata)
    await front.sender("tiny-mmm", "encode", bodies("tiny-mmm", "encode", 1, (8, 8)))(0)
    command = ("bench", "--server", address, "--models", "nope", "--tls-ca", authority.pem)
    told = await asyncio.to_thread(rdserve, *command, "--token-file", tokens)
    assert told.returncode == Code.USAGE
    assert "no model 'nope' here" in told.stderr
    assert "Give a token" in (await asyncio.to_thread(rdserve, *command)).stderr


def test_the_token_is_never_logged(open_service: Running) -> None:
    """Last on purpose: the service has met good and bad tokens by now."""
    open_service.stop()
    assert open_service.lines
    assert TOKEN not in "\n".join(open_service.lines)
    assert "not-the-token" not in "\n".join(open_service.lines)


Listen = Callable[..., Any]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """listen(settings) -> the address of a health service with their credentials."""
    servers: list[aio.Server] = []

    async def start(**files: Path) -> str:
        credentials = server_credentials(Settings(models=Path(), **files))  # type: ignore[arg-type]
        assert credentials is not None
        servers.append(aio.server())
        add_HealthServicer_to_server(health_aio.HealthServicer(), servers[-1])
        port = servers[-1].add_secure_port("127.0.0.1:0", credentials)
        await servers[-1].start()
        return f"localhost:{port}"

    yield start
    for server in servers:
        await server.stop(None)


async def serial_seen(address: str, authority: Authority) -> bytes:
    """The certificate that a new connection gets."""
    host, port = address.rsplit(":", 1)

    def look() -> bytes:
        context = ssl.create_default_context(cafile=str(authority.pem))
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection(("127.0.0.1", int(port))) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            return wrapped.getpeercert(binary_form=True) or b""

    import asyncio

    return await asyncio.to_thread(look)


async def health(address: str, authority: Authority, client: Pem | None = None) -> int:
    chain = (client.key.read_bytes(), client.cert.read_bytes()) if client else (None, None)
    trusted = grpc.ssl_channel_credentials(authority.pem.read_bytes(), *chain)
    async with aio.secure_channel(address, trusted) as channel:
        stub: Any = HealthStub(channel)
        return int((await stub.Check(HealthCheckRequest(), timeout=20)).status)


async def test_mutual_tls_asks_who_calls(
    listen: Listen, authority: Authority, pem: Pem, tmp_path: Path
) -> None:
    address = await listen(tls_cert=pem.cert, tls_key=pem.key, tls_client_ca=authority.pem)
    assert await health(address, authority, authority.issue("client", "somebody"))
    stranger = Authority(tmp_path).issue("stranger", "somebody")
    for client in (None, stranger):
        with pytest.raises(aio.AioRpcError) as caught:
            await health(address, authority, client)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_renewed_certificate_counts_from_the_next_connection(
    listen: Listen, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    pem = authority.issue("renewed", *HOSTS)
    address = await listen(tls_cert=pem.cert, tls_key=pem.key)
    first = await serial_seen(address, authority)
    assert await serial_seen(address, authority) == first
    authority.issue("renewed", *HOSTS)
    second = await serial_seen(address, authority)
    assert second != first
    pem.cert.write_text("half a renewal")
    assert await serial_seen(address, authority) == second
    assert "the TLS certificate stays as it was" in caplog.text
    authority.issue("renewed", *HOSTS)
    assert await serial_seen(address, authority) not in (first, second)


def test_files_that_do_not_fit_are_refused_at_start(authority: Authority, pem: Pem, tmp_path: Path) -> None:
    other = authority.issue("other", "localhost")
    world = secret(tmp_path / "world.key", pem.key.read_text(), 0o644)
    cases: list[tuple[dict[str, Path], str]] = [
        ({"tls_cert": pem.cert, "tls_key": other.key}, "mismatch"),
        ({"tls_cert": pem.key, "tls_key": pem.key}, "TLS cannot use"),
        ({"tls_cert": tmp_path / "none.pem", "tls_key": pem.key}, "cannot read .*none.pem"),
        ({"tls_cert": pem.cert, "tls_key": world}, "mode 0644"),
        ({"tls_cert": pem.cert, "tls_key": pem.key, "tls_client_ca": pem.key}, "TLS cannot use"),
    ]
    for files, says in cases:
        with pytest.raises(SettingsError, match=f"(?i){says}"):
            server_credentials(Settings(models=tmp_path, **files))  # type: ignore[arg-type]
    assert server_credentials(Settings(models=tmp_path)) is None


LOCAL = [
    "ipv4:127.0.0.1:1,127.0.0.1:2",
    "localhost:1",
    "127.0.0.1:1",
    "127.9.9.9:1",
    "[::1]:1",
    "unix:/s",
    "unix:///s",
    "dns:///localhost:1",
]
AFAR = ["10.0.0.1:1", "example.org:1", "localhost.example.org:1", "dns:///example.org:1", "[2001:db8::1]:1"]
AFAR += [
    "ipv4:127.0.0.1:1,10.0.0.1:1",
    "127.0.0.1.example.org:1",
    "xds:///localhost",
    "dns://8.8.8.8/localhost:1",
    "0.0.0.0:1",
]


@pytest.mark.parametrize("address", AFAR)
def test_a_token_is_not_sent_in_the_clear(address: str) -> None:
    assert not is_local(address)
    with pytest.raises(InputError, match="without TLS anyone on the way could read the token"):
        Client(address, token=TOKEN)
    Client(address, token=TOKEN, tls=True).close()


@pytest.mark.parametrize("address", LOCAL)
def test_this_machine_may_get_it(address: str) -> None:
    assert is_local(address)
    Client(address, token=TOKEN).close()


def test_a_proxy_never_sees_what_is_for_this_machine(
    in_process_service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with Client(in_process_service, token=TOKEN, timeout=30) as client:
        assert client.models()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"cert": "a.pem"}, "a certificate and its key"),
        ({"cert": "a.pem", "key": "a.key"}, "travels over TLS"),
        ({"tls": "/nowhere.pem"}, "cannot read /nowhere.pem"),
        ({"token": "line\nbreak"}, "no header carries"),
    ],
)
def test_what_cannot_be_trusted_is_no_client(arguments: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Client("localhost:1", **arguments)  # type: ignore[arg-type]
