"""Several replicas behind one target: real services on loopback addresses, killed and replaced under load."""

import itertools
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any

import grpc
import numpy as np
import pytest
from front import Front
from grpc_health.v1.health_pb2 import HealthCheckResponse
from rdserve.cli.exits import Code
from rdserve.client import Client
from rdserve.client.address import is_local
from rdserve.client.errors import NotFound
from rdserve.server.repository.packaging import package
from rdserve.v1.vae_pb2 import SampleRequest, SampleResponse, ScoreRequest, ScoreResponse
from rdserve.wire import tensors
from running import Running, until_serving
from scripted import scripted

Launch = Callable[..., Running]
StartFront = Callable[..., Front]

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
IMAGES = np.random.default_rng(0).random((32, 8, 8)) < 0.5
ONES = [1.0] * len(IMAGES)
ANSWER = ScoreResponse(
    rate_nats=ONES, distortion_nats=ONES, importance_bound_nats=ONES, importance_ess=ONES, rate_is_exact=True
)


def target(*addresses: str) -> str:
    return "ipv4:" + ",".join(addresses)


def handled(replica: Running | Front, **labels: str) -> float:
    """How many Score calls a replica has answered, by its own count."""
    wanted = {"grpc_method": "Score"} | labels
    (line,) = (line for line in replica.lines if line.startswith("metrics on "))
    url = line.split()[-1] if "://" in line else f"http://{line.split()[-1]}/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    return sum(
        float(sample.rsplit(" ", 1)[1])
        for sample in text.splitlines()
        if sample.startswith("grpc_server_handled_total{")
        and all(f'{key}="{value}"' in sample for key, value in wanted.items())
    )


@contextmanager
def load(client: Client, ask: Callable[[int], Any], *, callers: int = 4) -> Iterator[threading.Semaphore]:
    """`callers` ask without a pause while this is open; what one raises is raised at the end.

    Yields a semaphore that is released once per answer.
    """
    stop, answers = threading.Event(), threading.Semaphore(0)
    numbers = itertools.count()

    def caller() -> None:
        try:
            while not stop.is_set():
                ask(next(numbers))
                answers.release()
        except BaseException:
            answers.release(10_000)  # whoever waits for answers must hear of it
            raise

    with ThreadPoolExecutor(callers) as pool:
        running = [pool.submit(caller) for _ in range(callers)]
        try:
            yield answers
        finally:
            stop.set()
        for each in running:
            each.result()


def await_answers(answers: threading.Semaphore, count: int) -> None:
    for _ in range(count):
        answers.acquire()


def test_a_replica_killed_under_load_costs_no_call(launch: Launch, front: StartFront, store: Path) -> None:
    killed = launch(store, "--backend", "in-process", "--host", HOSTS[1])
    replicas = (front(store, host=HOSTS[0]), until_serving(killed), front(store, host=HOSTS[2]))
    with Client(replicas[0].address) as alone:
        expected = alone.score("tiny-mpv", IMAGES, n_samples=4)
    with Client(target(*(each.address for each in replicas))) as client:
        client.wait_for_ready()

        def ask(_: int) -> None:
            score = client.score("tiny-mpv", IMAGES, n_samples=4)
            np.testing.assert_array_equal(score.rate_nats, expected.rate_nats)
            np.testing.assert_array_equal(score.distortion_nats, expected.distortion_nats)

        with load(client, ask) as answers:
            await_answers(answers, 60)
            before = [handled(each, grpc_code="OK") for each in replicas]
            killed.process.send_signal(SIGKILL)
            assert killed.process.wait() == -SIGKILL
            await_answers(answers, 60)
    assert min(before) >= 5  # round robin: each had its share
    for number in (0, 2):
        assert handled(replicas[number], grpc_code="OK") > before[number]
        assert handled(replicas[number]) == handled(replicas[number], grpc_code="OK")


def test_a_replica_that_does_not_serve_gets_no_calls() -> None:
    asked: list[str] = []

    def answering(name: str) -> Callable[[ScoreRequest, grpc.ServicerContext], ScoreResponse]:
        def score(request: ScoreRequest, context: grpc.ServicerContext) -> ScoreResponse:
            asked.append(name)
            return ANSWER

        return score

    with ExitStack() as stack:
        ready = stack.enter_context(scripted(Score=answering("ready")))
        loading = stack.enter_context(
            scripted(health=HealthCheckResponse.NOT_SERVING, Score=answering("loading"))
        )
        client = stack.enter_context(Client(target(loading, ready)))
        for _ in range(10):
            client.score("m", IMAGES)
    assert asked == ["ready"] * 10


def test_samples_go_on_elsewhere() -> None:
    """The first replica goes away after two rows; the rest is asked of the next."""
    asked: list[list[int]] = []

    def sample(request: SampleRequest, context: grpc.ServicerContext) -> Iterator[SampleResponse]:
        ids = list(request.noise.example_ids)
        asked.append(ids)
        rows = np.array(ids, np.float32)[: 2 if len(asked) == 1 else None]
        yield SampleResponse(
            latents=tensors.to_message(rows[:, None]),
            images=tensors.to_message(np.zeros((len(rows), 1, 8, 8), np.uint8)),
        )
        if len(asked) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    with (
        scripted(Sample=sample) as one,
        scripted(Sample=sample) as other,
        Client(target(one, other)) as client,
    ):
        result = client.sample("m", 5)
    assert asked == [[0, 1, 2, 3, 4], [2, 3, 4]]
    assert result.latents[:, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("ipv4:127.0.0.1:1,127.0.0.2:2", True),
        ("ipv4:127.0.0.1:1,10.0.0.1:2", False),
        ("ipv4:10.0.0.1:1,127.0.0.1:2", False),
        ("dns:///localhost:1", True),
        ("dns:///rdserve-headless:1", False),
    ],
)
def test_tokens_travel_in_the_clear_to_this_machine_only(address: str, local: bool) -> None:
    assert is_local(address) is local


def test_names_are_resolved_to_replicas(in_process_service: str) -> None:
    port = in_process_service.rsplit(":", 1)[1]
    with Client(f"dns:///localhost:{port}") as client:
        assert len(client.score("tiny-mmm", IMAGES).rate_nats) == len(IMAGES)


def replace(front: StartFront, old: Front, models: Path) -> Front:
    """A new replica at an old one's address, as a rolling update does it."""
    host, port = old.address.rsplit(":", 1)
    old.stop()
    return front(models, host=host, port=int(port))


def test_a_rolling_update_never_answers_for_another_version(
    front: StartFront, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    for version, family in (("1.0", "---"), ("2.0", "-+v")):
        package(make_checkpoint(tmp_path, family, name="model", version=version), tmp_path / version)
    replicas = [front(tmp_path / "1.0", host=host) for host in HOSTS[:2]]
    addresses = [each.address for each in replicas]
    with Client(addresses[0]) as alone:
        expected = {"1.0": rates(alone, "model@1.0")}
    seen: dict[str, set[bytes | None]] = {"model": set(), "model@1.0": set(), "model@2.0": set()}
    with Client(target(*addresses)) as client:

        def ask(number: int) -> None:
            name = list(seen)[number % len(seen)]
            seen[name].add(rates(client, name))

        with load(client, ask, callers=2) as answers:
            await_answers(answers, 30)
            for number in (0, 1):
                replicas[number] = replace(front, replicas[number], tmp_path / "2.0")
                await_answers(answers, 60)
        assert rates(client, "model@1.0") is None
        expected["2.0"] = rates(client, "model@2.0")
        assert client.model("model@2.0").version == "2.0"
    assert None not in expected.values()
    assert expected["1.0"] != expected["2.0"]
    assert seen["model"] == set(expected.values())
    assert seen["model@1.0"] == {expected["1.0"], None}
    assert seen["model@2.0"] == {expected["2.0"], None}
    # Nobody was sent to a replica that had not passed its self-test yet.
    assert all(handled(each, grpc_code="UNAVAILABLE") == 0 for each in replicas)


def rates(client: Client, name: str) -> bytes | None:
    """The exact numbers, or None where that version is not there."""
    try:
        return client.score(name, IMAGES[:4]).rate_nats.tobytes()
    except NotFound:
        return None


def test_a_new_replica_that_cannot_serve_takes_no_traffic(
    launch: Launch, front: StartFront, store: Path, tmp_path: Path
) -> None:
    good = (store / "tiny-mmm.mar").read_bytes()
    (tmp_path / "tiny-mmm.mar").write_bytes(good[: len(good) // 2])
    old, new = front(store, host=HOSTS[0]), launch(tmp_path, "--backend", "in-process", "--host", HOSTS[1])
    where = new.until("loading ").split()[-1]
    with (
        Client(target(old.address, where)) as client,
        load(client, lambda _: client.score("tiny-mmm@1.0", IMAGES), callers=2) as answers,
    ):
        new.until("FAILED")
        assert new.wait() == Code.UNAVAILABLE
        await_answers(answers, 10)
