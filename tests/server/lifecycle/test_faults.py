"""Faults as they happen: workers killed and stopped, Java killed and stopped, disks full, archives spoilt.

Each test breaks one of two models, sees that the other serves and that the broken one says so, and waits for
it to come back by itself. Times to recover are printed (`pytest -rP`).
"""

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import faults
import grpc
import psutil
import pytest
from faults import Faults, score
from front import Front
from polling import until
from rdserve.v1.vae_pb2 import MODEL_STATE_FAILED, MODEL_STATE_SERVING, GetModelRequest, ModelState
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from rdserve.wire.limits import MIB
from refusals import reason_of, refused
from running import Running, start_with, until_serving
from watching import Watch

pytestmark = pytest.mark.torchserve

READY = "rdserve.v1.VaeService"
PAUSE_SECONDS = 0.05
QUICK = {
    "hang_seconds": 3,
    "probe_seconds": 1.5,
    "probe_timeout_seconds": 5,
    "steady_seconds": 0.1,
    "load_concurrency": 1,  # one model serves while the other still loads
}


@pytest.fixture(scope="module")
def injected(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    return Faults(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def archives(
    tmp_path_factory: pytest.TempPathFactory, make_checkpoint: Callable[..., Path]
) -> dict[str, Path]:
    """Archives of the models good, bad and spare."""
    from rdserve.server.repository.packaging import package

    folder = tmp_path_factory.mktemp("archives")
    return {
        name: package(make_checkpoint(folder / "checkpoints", name=name), folder)
        for name in ("good", "bad", "spare")
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, archives: dict[str, Path]) -> Path:
    """The archives of good and bad."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("good", "bad"):
        shutil.copy(archives[name], folder)
    return folder


@pytest.fixture(scope="module")
def broken_service(store: Path, injected: Faults) -> Iterator[Running]:
    running = until_serving(start_with(store, injected.environment, **QUICK))
    yield running
    assert running.stop() == 0


@pytest.fixture
def running(broken_service: Running, injected: Faults) -> Running:
    """The service that the tests of this file break in turn, whole again."""
    with grpc.insecure_channel(broken_service.address) as channel:
        stub = VaeServiceStub(channel)
        until(lambda: [state_of(stub, name) for name in ("good", "bad")] == [MODEL_STATE_SERVING] * 2)
        injected.reset()
    return broken_service


@pytest.fixture
def channel(running: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(running.address) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.Channel) -> VaeServiceStub:
    return VaeServiceStub(channel)


def state_of(stub: VaeServiceStub, name: str) -> ModelState.ValueType:
    return stub.GetModel(GetModelRequest(model=name)).model.state


@contextmanager
def good_serves_throughout(stub: VaeServiceStub) -> Iterator[None]:
    """The other model answers, again and again, while the block runs; none of its calls fails.

    Its caller pauses between them, or its load would be what the broken model's recovery waits for.
    """
    over, answers, errors = threading.Event(), [0], []

    def ask() -> None:
        while not over.wait(PAUSE_SECONDS):
            try:
                stub.Score(score("good", 1), timeout=60)
                answers[0] += 1
            except grpc.RpcError as error:
                errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
        begun = answers[0]
        until(lambda: errors or answers[0] > begun)
    finally:
        over.set()
        thread.join()
    assert not errors


def report(fault: str, begun: float, back: float) -> None:
    print(f"\n{fault}: served again {back - begun:.1f} s later")


def test_a_worker_killed_in_mid_request(
    channel: grpc.Channel, stub: VaeServiceStub, injected: Faults
) -> None:
    stub.Score(score("bad", 1))  # what such a call takes is known
    with good_serves_throughout(stub), Watch(channel, "bad") as bad, Watch(channel, READY) as ready:
        call = stub.Score.future(score("bad", faults.HELD))
        worker = injected.until_reached(faults.HELD)
        begun = monotonic()
        os.kill(worker, signal.SIGKILL)
        injected.release()
        bad.until("NOT_SERVING")
        report("worker killed in mid-request", begun, bad.until("SERVING"))
        answer = call.result()
    assert ready.statuses == ["SERVING"]
    # Computed once where it was lost and once where it was answered; and the answer is the right one.
    assert len(injected.reached(faults.HELD)) == 2
    assert answer == stub.Score(score("bad", faults.HELD))
    assert not psutil.pid_exists(worker)


def test_the_death_of_an_idle_worker_is_noticed_and_callers_wait_for_the_next(
    channel: grpc.Channel, stub: VaeServiceStub, injected: Faults
) -> None:
    injected.release()
    stub.Score(score("bad", faults.HELD))
    ((worker, *_),) = injected.reached(faults.HELD)
    with good_serves_throughout(stub), Watch(channel, "bad") as bad, Watch(channel, READY) as ready:
        begun = monotonic()
        os.kill(worker, signal.SIGKILL)
        noticed = bad.until("NOT_SERVING")  # though nobody asks it anything
        assert "its worker ended" in stub.GetModel(GetModelRequest(model="bad")).model.state_reason
        assert len(stub.Score(score("bad", 1)).rate_nats) == 4
        report(f"idle worker killed, noticed after {noticed - begun:.3f} s", begun, bad.until("SERVING"))
    assert ready.statuses == ["SERVING"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_java_lost_in_mid_request(
    running: Running,
    channel: grpc.Channel,
    stub: VaeServiceStub,
    injected: Faults,
    store: Path,
    number: signal.Signals,
) -> None:
    """Models come back from what was verified, whatever has become of the files since."""
    (store / "bad.mar").write_bytes(b"no archive")
    stub.Score(score("bad", 1))
    java, before = running.java(), running.processes()
    with Watch(channel, "bad") as bad, Watch(channel, "good") as good, Watch(channel, READY) as ready:
        call = stub.Score.future(score("bad", faults.HELD))
        injected.until_reached(faults.HELD)
        begun = monotonic()
        java.send_signal(number)
        injected.release()
        for watch in (bad, good, ready):
            watch.until("NOT_SERVING")
        back = ready.until("SERVING")
        # As at the start: ready when every model is settled, not when the first is.
        assert [state_of(stub, name) for name in ("good", "bad")] == [MODEL_STATE_SERVING] * 2
        report(f"Java {number.name}", begun, max(back, *(watch.until("SERVING") for watch in (bad, good))))
        answer = call.result()
    assert 1 <= len(injected.reached(faults.HELD)) <= 2
    assert answer == stub.Score(score("bad", faults.HELD))
    left = set(before) & set(running.processes())
    assert [process.pid for process in left] == [running.process.pid]


def test_a_worker_without_memory_says_so_and_lives_on(
    channel: grpc.Channel, stub: VaeServiceStub, injected: Faults
) -> None:
    """oneDNN says it in words of its own, and is of no use to that process from then on."""
    injected.release()
    stub.Score(score("bad", faults.HELD))
    ((pid, *_),) = injected.reached(faults.HELD)
    worker = psutil.Process(pid)
    unlimited = worker.rlimit(psutil.RLIMIT_AS)
    with Watch(channel, "bad") as bad:
        # A size that it has not met, for which oneDNN makes code; 4 rows and its like are made already.
        worker.rlimit(psutil.RLIMIT_AS, (worker.memory_info().vms + 2 * MIB, unlimited[1]))
        call = stub.Score.future(score("bad", 1, rows=200))
        assert reason_of(refused(call)) == "OUT_OF_MEMORY"
        worker.rlimit(psutil.RLIMIT_AS, unlimited)
        for rows in (200, 150, 4):
            assert len(stub.Score(score("bad", 1, rows=rows)).rate_nats) == rows
        assert bad.statuses == ["SERVING"]
    assert worker.is_running()


def test_a_request_that_ends_its_worker_is_answered_once(
    channel: grpc.Channel, stub: VaeServiceStub, injected: Faults
) -> None:
    with good_serves_throughout(stub), Watch(channel, "bad") as bad:
        held = stub.Score.future(score("bad", faults.HELD))  # while it is out, the others gather
        injected.until_reached(faults.HELD)
        begun = monotonic()
        neighbours = [stub.Score.future(score("bad", seed)) for seed in (1, 2, 3)]
        poison = stub.Score.future(score("bad", faults.KILLS))
        stub.Score(score("good", 1))  # they have arrived
        injected.release()
        assert held.result()
        assert reason_of(refused(poison)) == "WORKER_CRASHED"
        answers = [neighbour.result() for neighbour in neighbours]
        bad.until("NOT_SERVING")
        bad.until("SERVING")
        until(lambda: state_of(stub, "bad") == MODEL_STATE_SERVING)
        report("request that ends its worker, twice", begun, monotonic())
    assert len(injected.reached(faults.KILLS)) == 2
    assert answers == [stub.Score(score("bad", seed)) for seed in (1, 2, 3)]


def test_a_model_whose_worker_always_dies_is_tried_less_and_less(
    channel: grpc.Channel, stub: VaeServiceStub, injected: Faults
) -> None:
    with good_serves_throughout(stub), Watch(channel, "bad") as bad:
        begun = monotonic()
        (injected.folder / "dies").touch()
        call = stub.Score.future(score("bad", faults.KILLS_ONCE))
        assert reason_of(refused(call)) == "MODEL_FAILED"
        model = stub.GetModel(GetModelRequest(model="bad")).model
        assert model.state == MODEL_STATE_FAILED
        starts = (injected.folder / "trace").read_text().count("died at start")
        print(f"\nworker that dies at start: {starts} starts in {monotonic() - begun:.1f} s")
        assert starts < 10
        (injected.folder / "dies").unlink()
        bad.until("NOT_SERVING")
        report("worker that died at start, once it does not", begun, bad.until("SERVING"))


def test_a_spoilt_archive_is_listed_with_its_reason_and_serves_once_mended(
    front: Callable[..., Front], archives: dict[str, Path], tmp_path: Path
) -> None:
    """Whatever serves them: a model's life is the same without TorchServe."""
    shutil.copy(archives["good"], tmp_path)
    (tmp_path / "spare.mar").write_bytes(archives["spare"].read_bytes()[:1000])
    with grpc.insecure_channel(front(tmp_path).address) as channel:
        stub = VaeServiceStub(channel)
        model = stub.GetModel(GetModelRequest(model="spare")).model
        assert model.state == MODEL_STATE_FAILED
        assert "spare.mar" in model.state_reason
        with good_serves_throughout(stub):
            shutil.copy(archives["spare"], tmp_path)
            begun = monotonic()
            until(lambda: state_of(stub, "spare") == MODEL_STATE_SERVING)
            report("spoilt archive, once mended", begun, monotonic())
            assert len(stub.Score(score("spare", 1)).rate_nats) == 4


def test_a_full_disk_for_the_log(
    archives: dict[str, Path], store: Path, tmp_path: Path, injected: Faults
) -> None:
    """/dev/full takes no byte: whatever is announced or logged fails to be written."""
    models, ready = tmp_path / "models", tmp_path / "ready"
    models.mkdir()
    shutil.copy(archives["good"], models)
    injected.reset()
    running = start_with(
        models, injected.environment, output=Path("/dev/full"), ready_file=str(ready), **QUICK
    )
    try:
        until(lambda: ready.exists() and ready.read_text())
        with grpc.insecure_channel(ready.read_text()) as channel, Watch(channel, "good") as good:
            stub = VaeServiceStub(channel)
            assert len(stub.Score(score("good", faults.KILLS_ONCE)).rate_nats) == 4
            good.until("NOT_SERVING")
            good.until("SERVING")
            assert reason_of(refused(stub.Score.future(score("good", faults.BUG)))) == "INTERNAL"
    finally:
        assert running.stop() == 0
