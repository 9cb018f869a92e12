"""Rude clients, and requests of hostile sizes: the others are answered, and memory stays."""

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import http2
import numpy as np
import psutil
import pytest
from http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, frame
from rdserve.client import Client, InputError, errors
from rdserve.wire.limits import MAX_MESSAGE_BYTES, MIB
from running import Running, start_service, until_serving

pytestmark = pytest.mark.torchserve

SCORE = "/rdserve.v1.VaeService/Score"
ONE = np.zeros((1, 8, 8), bool)
MAX_GROWTH_BYTES = 200 * MIB


@pytest.fixture(scope="module")
def flooded(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service of one model on TorchServe, started by a shell that allows it few files."""
    models = tmp_path_factory.mktemp("one")
    (archive,) = store.glob("tiny-mmm*")
    shutil.copy(archive, models)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        running = start_service(models)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    yield until_serving(running)
    running.stop()


@pytest.fixture
def client(flooded: Running) -> Iterator[Client]:
    with Client(flooded.address, timeout=60) as client:
        client.score("tiny-mmm", ONE)
        yield client


def silence(stack: ExitStack, address: str) -> None:
    """500 connections that say nothing."""
    for _ in range(500):
        stack.enter_context(http2.dial(address))


def open_streams(stack: ExitStack, address: str) -> None:
    """100 connections of 20 calls whose messages never come."""
    for _ in range(100):
        connection = stack.enter_context(http2.greet(address))
        connection.sendall(b"".join(http2.headers(stream, SCORE) for stream in range(1, 41, 2)))


def slow_senders(stack: ExitStack, address: str) -> None:
    """50 messages that claim to be as large as allowed; the first bytes have come."""
    begin = b"\0" + MAX_MESSAGE_BYTES.to_bytes(4, "big") + bytes(1000)
    for _ in range(50):
        connection = stack.enter_context(http2.greet(address))
        connection.sendall(http2.headers(1, SCORE) + frame(DATA, 0, 1, begin))


def rapid_resets(stack: ExitStack, address: str) -> None:
    """8 connections that open and reset 1,000 streams each (CVE-2023-44487), or fewer if hung up on."""
    for _ in range(8):
        connection = stack.enter_context(http2.greet(address))
        ids = range(1, 2001, 2)
        cancel = (8).to_bytes(4, "big")
        storm = b"".join(http2.headers(n, SCORE) + frame(RST_STREAM, 0, n, cancel) for n in ids)
        try:
            connection.sendall(storm)
        except OSError:
            continue


def noise(stack: ExitStack, address: str) -> None:
    """What is no HTTP/2, or is, and makes no sense."""
    rng = np.random.default_rng(0)
    openings = [
        rng.bytes(1000),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01" + rng.bytes(500),
        http2.PREFACE + rng.bytes(1000),
        http2.PREFACE + frame(SETTINGS, 0, 0) + frame(DATA, 0, 7, b"no such stream"),
        http2.PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS | END_STREAM, 1, rng.bytes(100)),
        http2.PREFACE + frame(SETTINGS, 0, 0) + frame(PING, 0, 0, bytes(8)) * 1000,
        http2.PREFACE + frame(SETTINGS, 0, 0, bytes(6)) * 1000,
        http2.PREFACE + frame(SETTINGS, 0, 0) + http2.headers(1, SCORE) + frame(DATA, END_STREAM, 1, b"\1\2"),
        http2.PREFACE + frame(SETTINGS, 0, 0) + b"\xff\xff\xff\0\0\0\0\0\1",
    ]
    for opening in openings * 3:
        connection = stack.enter_context(http2.dial(address))
        try:
            connection.sendall(opening)
        except OSError:
            continue


FLOODS = [silence, open_streams, slow_senders, rapid_resets, noise]


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.__name__)
def test_others_are_answered(
    flooded: Running, client: Client, flood: Callable[[ExitStack, str], None]
) -> None:
    front = psutil.Process(flooded.process.pid)
    before = front.memory_info().rss
    workers = flooded.workers()
    with ExitStack() as stack:
        flood(stack, flooded.address)
        assert np.isfinite(client.score("tiny-mmm", ONE).rate_nats).all()
        with Client(flooded.address, timeout=60) as newcomer:
            newcomer.wait_for_ready()
            assert [model.name for model in newcomer.models()] == ["tiny-mmm"]
        assert front.memory_info().rss - before < MAX_GROWTH_BYTES
    assert np.isfinite(client.score("tiny-mmm", ONE).rate_nats).all()
    assert flooded.workers() == workers


def test_who_says_nothing_is_sent_away(flooded: Running) -> None:
    connections = [http2.dial(flooded.address) for _ in range(20)]
    for connection in connections:
        connection.settimeout(60)  # the service waits 10 s
        http2.closed(connection)
        connection.close()


def test_only_the_front_is_reached_by_others(flooded: Running) -> None:
    """By the kernel's own tables: who listens beyond loopback, of the service and all it started."""
    ours = _inodes(flooded)
    listening = [(address, port) for address, port, inode in _listening() if inode in ours]
    assert int(flooded.address.rsplit(":", 1)[1]) in {port for _, port in listening}
    assert [(str(address), port) for address, port in listening if not address.is_loopback] == []


def _inodes(running: Running) -> set[str]:
    """Sockets that the service's processes hold."""
    found: set[str] = set()
    for process in running.processes():
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            target = str(link.readlink()) if link.is_symlink() else ""
            if target.startswith("socket:["):
                found.add(target[8:-1])
    return found


def _listening() -> Iterator[tuple[IPv4Address | IPv6Address, int, str]]:
    """Address, port and inode of each TCP socket that listens (0A); addresses are words, low byte first."""
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            words, port = fields[1].split(":")
            raw = b"".join(bytes.fromhex(words[at : at + 8])[::-1] for at in range(0, len(words), 8))
            address = ip_address(raw)
            if fields[3] == "0A":
                yield getattr(address, "ipv4_mapped", None) or address, int(port, 16), fields[9]


def test_nothing_is_uploaded_that_no_message_holds(client: Client, flooded: Running) -> None:
    side = 24_000  # 72 MB of bits
    with pytest.raises(InputError, match=r"shape \(24000, 24000\) takes 720\d+ bytes, a message at most"):
        client.score("tiny-mmm", np.zeros((1, side, side), bool))
    with pytest.raises(InputError, match=r"n_samples .* in 1 \.\. 5000, got 5001"):
        client.score("tiny-mmm", ONE, n_samples=5001)
    with pytest.raises(errors.InvalidArgument, match=r"takes images of shape \(N, 8, 8\)"):
        client.score("tiny-mmm", np.zeros((1, 4000, 4000), bool))
