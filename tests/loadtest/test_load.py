"""Loops count what they should, and latency runs from when a request was due."""

import asyncio

import numpy as np
from rdserve.loadtest.load import Visit, arrivals, closed, opened

from benchmarks.routes import predictions_request


async def test_a_closed_loop_keeps_so_many_in_flight_and_awaits_the_last() -> None:
    now, most, answered = 0, 0, 0

    async def send(number: int) -> None:
        nonlocal now, most, answered
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        answered += 1

    visit = await closed(send, 5, 0.05)
    assert most == 5
    assert now == 0
    assert len(visit.latencies) == answered


async def test_failures_are_counted_by_kind_and_have_no_latency() -> None:
    async def send(number: int) -> None:
        await asyncio.sleep(0)
        if number % 2:
            raise KeyError(number)

    visit = await closed(send, 2, 0.01)
    assert visit.errors.keys() == {"KeyError"}
    assert abs(visit.errors["KeyError"] - len(visit.latencies)) <= 1


def test_arrivals_are_poisson() -> None:
    due = arrivals(1000, 20, seed=0)
    gaps = np.diff(due)
    assert abs(len(due) - 20_000) < 5 * np.sqrt(20_000)
    assert abs(gaps.std() / gaps.mean() - 1) < 0.05


async def test_whoever_a_stall_kept_waiting_counts_the_whole_wait() -> None:
    """Ten requests are due within 0.1 s; the service, and with it the sender, stalls for the first 0.2 s."""
    stalled = False

    async def send(number: int) -> None:
        nonlocal stalled
        if not stalled:
            stalled = True
            await asyncio.to_thread(_stall, asyncio.get_running_loop())

    visit = await opened(send, rate=100, seconds=0.1, seed=0)
    due = arrivals(100, 0.1, seed=0)
    late = [latency for latency in visit.latencies if latency > 0.2 - (due[-1] - due[0]) - 0.01]
    assert len(late) == len(due) == len(visit.latencies)


def _stall(loop: asyncio.AbstractEventLoop) -> None:
    import threading
    import time

    blocked = threading.Event()

    def block() -> None:
        blocked.set()
        time.sleep(0.2)

    loop.call_soon_threadsafe(block)
    blocked.wait()


def test_a_visit_without_answers_has_no_percentile() -> None:
    assert np.isnan(Visit(seconds=1).percentile(50))


def test_predictions_requests_are_what_torchserve_reads() -> None:
    """PredictionsRequest {string model_name = 1; map<string, bytes> input = 3}, read by protobuf itself."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="predictions.proto", syntax="proto3")
    message = file.message_type.add(name="PredictionsRequest")
    field = descriptor_pb2.FieldDescriptorProto
    message.field.add(name="model_name", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry = message.nested_type.add(name="InputEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=field.TYPE_BYTES, label=field.LABEL_OPTIONAL)
    message.field.add(
        name="input",
        number=3,
        type=field.TYPE_MESSAGE,
        type_name=".PredictionsRequest.InputEntry",
        label=field.LABEL_REPEATED,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("PredictionsRequest"))
    body = bytes(300)
    read = kind.FromString(predictions_request("m", body))
    assert (read.model_name, dict(read.input)) == ("m", {"body": body})
