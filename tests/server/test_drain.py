"""The end of a service that has work in flight: told first, finished in time, or cut short."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import faults
import grpc
import psutil
import pytest
from faults import Faults, score
from rdserve.v1.vae_pb2 import ListModelsRequest
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from refusals import reason_of, refused
from running import Running, start_with, until_serving
from watching import Watch

pytestmark = pytest.mark.torchserve

READY = "rdserve.v1.VaeService"

Start = Callable[..., Running]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, make_checkpoint: Callable[..., Path]) -> Path:
    from rdserve.server.repository.packaging import package

    folder = tmp_path_factory.mktemp("models")
    package(make_checkpoint(folder / "checkpoints", name="m"), folder)
    return folder


@pytest.fixture
def injected(tmp_path: Path) -> Faults:
    return Faults(tmp_path)


@pytest.fixture
def start(models: Path, injected: Faults) -> Iterator[Start]:
    started: list[Running] = []

    def start(**settings: object) -> Running:
        started.append(start_with(models, injected.environment, **settings))
        return until_serving(started[-1])

    yield start
    for running in started:
        running.stop(signal.SIGKILL)


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=40)[1]


def test_sigterm_is_told_first_and_what_is_in_flight_is_finished(start: Start, injected: Faults) -> None:
    running = start()
    processes, folder = running.processes(), Path(running.java().cwd())
    with grpc.insecure_channel(running.address) as channel:
        stub = VaeServiceStub(channel)
        with Watch(channel, READY) as ready, Watch(channel, "m") as model:
            held = stub.Score.future(score("m", faults.HELD))
            injected.until_reached(faults.HELD)
            running.process.send_signal(signal.SIGTERM)
            ready.until("NOT_SERVING")
            model.until("NOT_SERVING")
            assert reason_of(refused(stub.Score.future(score("m", 1)))) == "STOPPING"
            assert len(stub.ListModels(ListModelsRequest()).models) == 1
            assert not held.done()
            injected.release()
            assert len(held.result().rate_nats) == 4
    assert running.wait() == 0
    assert running.lines[-1] == "stopped"
    assert gone(processes)
    assert not folder.exists()


def test_work_that_outlasts_the_grace_period_is_cut_off(start: Start, injected: Faults) -> None:
    running = start(grace_seconds=1)
    processes = running.processes()
    with grpc.insecure_channel(running.address) as channel:
        held = VaeServiceStub(channel).Score.future(score("m", faults.HELD))
        injected.until_reached(faults.HELD)
        assert running.stop() == 0
        refused(held)
    assert gone(processes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(start: Start, injected: Faults, number: signal.Signals) -> None:
    running = start(grace_seconds=1000)
    processes, folder = running.processes(), Path(running.java().cwd())
    with grpc.insecure_channel(running.address) as channel, Watch(channel, READY) as ready:
        held = VaeServiceStub(channel).Score.future(score("m", faults.HELD))
        injected.until_reached(faults.HELD)
        running.process.send_signal(signal.SIGTERM)
        ready.until("NOT_SERVING")
        running.process.send_signal(number)
        assert running.wait() == -number
        refused(held)
    assert gone(processes)
    assert not folder.exists()
