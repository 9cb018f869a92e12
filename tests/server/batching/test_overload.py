"""Deadlines, cancellation and overload, over the wire, counted where the work would be done."""

from collections.abc import Callable, Iterator
from pathlib import Path

import faults
import grpc
import numpy as np
import pytest
from faults import Faults, score
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from polling import until
from rdserve.v1.vae_pb2 import MODEL_STATE_SERVING, ListModelsRequest, NoiseKeys, SampleRequest
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from refusals import reason_of, refused
from running import Running, start_with, until_serving

pytestmark = pytest.mark.torchserve

ROWS = 16  # a call to a worker
WAITING = 32
LATE = 700  # seeds that mean nothing to the worker


@pytest.fixture(scope="module")
def injected(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    return Faults(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, make_checkpoint: Callable[..., Path], injected: Faults
) -> Iterator[Running]:
    """A service with a short queue and small calls; beside its model lies an archive that is none."""
    models = tmp_path_factory.mktemp("models")
    make_checkpoint(models, name="m")
    make_checkpoint(models, "-+v", name="pixels")
    (models / "spoilt.mar").write_bytes(b"no archive")
    settings = {"max_batch_rows": ROWS, "max_queued_requests": WAITING}
    running = until_serving(start_with(models, injected.environment, **settings))
    yield running
    assert running.stop() == 0


@pytest.fixture
def channel(running: Running, injected: Faults) -> Iterator[grpc.Channel]:
    injected.reset()
    with grpc.insecure_channel(running.address) as channel:
        yield channel
        injected.release()  # whatever the test has left there


@pytest.fixture
def stub(channel: grpc.Channel) -> VaeServiceStub:
    return VaeServiceStub(channel)


def busy(stub: VaeServiceStub, injected: Faults) -> "grpc.Future":  # type: ignore[name-defined]
    """Keep the worker at work until `release`; the other call that may be on its way there is, too."""
    first = stub.Score.future(score("m", faults.HELD))
    injected.until_reached(faults.HELD)
    second = stub.Score.future(score("m", LATE - 1))
    arrived(stub)
    return [first, second]


def arrived(stub: VaeServiceStub) -> None:
    """What was sent on this channel before has been taken up."""
    for _ in range(3):
        stub.ListModels(ListModelsRequest())


def test_an_expired_request_never_reaches_a_worker(stub: VaeServiceStub, injected: Faults) -> None:
    before = busy(stub, injected)
    late = stub.Score.future(score("m", LATE), timeout=0.5)
    assert refused(late).code() == grpc.StatusCode.DEADLINE_EXCEEDED  # type: ignore[attr-defined]
    injected.release()
    assert all(call.result() for call in before)
    stub.Score(score("m", LATE + 1))
    assert not injected.reached(LATE)
    assert len(injected.reached(LATE + 1)) == 1


def test_an_abandoned_request_never_reaches_a_worker(stub: VaeServiceStub, injected: Faults) -> None:
    before = busy(stub, injected)
    abandoned = stub.Score.future(score("m", LATE))
    arrived(stub)
    abandoned.cancel()
    arrived(stub)
    injected.release()
    assert all(call.result() for call in before)
    stub.Score(score("m", LATE + 1))
    assert not injected.reached(LATE)


def test_long_work_that_is_cancelled_stops_costing(stub: VaeServiceStub, injected: Faults) -> None:
    calls = 200
    long = stub.Score.future(score("m", faults.SLOW, rows=calls * ROWS))
    injected.until_reached(faults.SLOW, times=3)
    assert {rows for _, _, rows in injected.reached(faults.SLOW)} == {ROWS}
    long.cancel()
    arrived(stub)
    stub.Score(score("m", LATE))
    done = len(injected.reached(faults.SLOW))
    print(f"\n{done} of {calls} calls were made")
    assert done < calls / 2
    for _ in range(3):
        stub.Score(score("m", LATE))
    assert len(injected.reached(faults.SLOW)) == done


def test_no_row_of_pixels_is_drawn_that_nobody_waits_for(stub: VaeServiceStub, injected: Faults) -> None:
    """The worker is free again after the row it was in, five before the image's last."""
    noise = NoiseKeys(seed=faults.HELD_IN_ROW)
    samples = stub.Sample(SampleRequest(model="pixels", n_latents=4, noise=noise))
    until(lambda: injected.rows() == [0, 1, 2])
    samples.cancel()
    assert stub.Score(score("pixels", LATE), timeout=60)
    assert injected.rows() == [0, 1, 2]
    (part,) = stub.Sample(SampleRequest(model="pixels", n_latents=1, noise=NoiseKeys(seed=LATE)))
    assert part.images.shape == [1, 1, 8, 8]


def test_others_get_their_turn_beside_long_work(stub: VaeServiceStub, injected: Faults) -> None:
    long = stub.Score.future(score("m", faults.SLOW, rows=100 * ROWS))
    injected.until_reached(faults.SLOW)
    stub.Score(score("m", LATE))
    assert not long.done()
    long.cancel()


def test_what_would_come_too_late_is_refused_at_once(stub: VaeServiceStub, injected: Faults) -> None:
    stub.Score(score("m", faults.SLOW, rows=40 * ROWS))  # now the pace is known: 50 ms a call
    vain = stub.Score.future(score("m", LATE, rows=4000 * ROWS), timeout=20)
    error = refused(vain)
    assert reason_of(error) == "DEADLINE_TOO_SHORT"
    assert not injected.reached(LATE)
    assert stub.Score(score("m", LATE, rows=2 * ROWS), timeout=60)


def test_a_flood_is_refused_beyond_the_queue_and_the_rest_is_answered(
    channel: grpc.Channel, stub: VaeServiceStub, injected: Faults
) -> None:
    before = busy(stub, injected)
    flood = [stub.Score.future(score("m", LATE + i)) for i in range(1000)]
    refusals = []
    while len(refusals) < 1000 + len(before) - WAITING:
        refusals = [call for call in flood if call.done()]
        health = HealthStub(channel).Check(HealthCheckRequest(service="m"), timeout=30)
        assert health.status == HealthCheckResponse.SERVING
        models = stub.ListModels(ListModelsRequest(), timeout=30).models
        assert [model.name for model in models if model.state == MODEL_STATE_SERVING] == ["m", "pixels"]
    assert {reason_of(refused(call)) for call in refusals} == {"QUEUE_FULL"}
    injected.release()
    admitted = {i: call.result() for i, call in enumerate(flood) if call not in refusals}
    assert len(admitted) == WAITING - len(before)
    for i, answer in admitted.items():
        alone = stub.Score(score("m", LATE + i))
        np.testing.assert_allclose(answer.distortion_nats, alone.distortion_nats, rtol=1e-5)


CAUSES = {
    "MODEL_NOT_FOUND": score("nobody", 1),
    "MODEL_FAILED": score("spoilt", 1),
    "INVALID_ARGUMENT": score("m", 1, samples=5001),
    "NUMERIC_FAILURE": score("m", faults.NAN),
    "OUT_OF_MEMORY": score("m", faults.NO_MEMORY),
    "INTERNAL": score("m", faults.BUG),
}


@pytest.mark.parametrize("reason", CAUSES)
def test_each_cause_is_told_as_the_table_says(stub: VaeServiceStub, reason: str) -> None:
    error = refused(stub.Score.future(CAUSES[reason]))
    assert reason_of(error) == reason


def test_a_bug_in_a_worker_is_in_the_log_under_its_id(running: Running, stub: VaeServiceStub) -> None:
    error = refused(stub.Score.future(score("m", faults.BUG)))
    assert reason_of(error) == "INTERNAL"
    assert "secret" not in str(error)
    (error_id,) = (word for word in error.details().replace(";", " ").split() if len(word) == 32)  # type: ignore[attr-defined]

    def named() -> list[int]:
        return [i for i, line in enumerate(running.lines) if error_id in line]

    until(named)
    until(lambda: any("a secret of the worker" in line for line in running.lines[named()[0] :]))
    (at,) = named()
    assert running.lines[at].startswith("ERROR rdserve.server.worker_protocol")
    # The traceback follows in the same record, in which no other line begins.
    record = running.lines[at : at + 40]
    end = next(i for i, line in enumerate(record) if "a secret of the worker" in line)
    assert any("Traceback" in line for line in record[:end])
    assert not any(line.startswith(("WARNING", "ERROR")) for line in record[1 : end + 1])
