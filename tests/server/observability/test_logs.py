"""The log: readable causes, one line each."""

import json
import logging
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import numpy as np
import pytest
from polling import until
from rdserve.client import Client
from rdserve.server.observability import logs
from rdserve.server.observability.call_context import Method, RpcContext
from rdserve.server.observability.logs import JsonLines
from rdserve.v1.vae_pb2 import CompareRequest, ListModelsRequest, ScoreRequest
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from rdserve.wire import tensors
from running import Running, until_serving
from shared import Shared

Launch = Callable[..., Running]


def written(running: Running | Shared) -> list[dict[str, Any]]:
    """Lines of JSON."""
    return [json.loads(line) for line in running.lines if line.startswith("{")]


def test_a_record_is_one_line() -> None:
    try:
        raise KeyError("two\nlines")
    except KeyError as error:
        record = logging.LogRecord(
            "name", logging.ERROR, "", 0, "said\n%s", ("this",), (KeyError, error, None)
        )
    line = JsonLines().format(record)
    assert "\n" not in line
    read = json.loads(line)
    assert (read["level"], read["logger"], read["message"]) == ("ERROR", "name", "said\nthis")
    assert "KeyError" in read["exception"]


def test_a_bug_that_ends_the_service_leaves_its_cause(
    launch: Launch, checkpoints: Path, tmp_path: Path
) -> None:
    nowhere = tmp_path / "no folder" / "ready"
    options = ("--backend", "in-process", "--ready-file", str(nowhere))
    running = launch(checkpoints / "tiny-mmm", *options)
    running.until("the service crashed")
    assert running.wait() == 70
    last = written(running)[-1]
    assert last["level"] == "CRITICAL"
    assert "FileNotFoundError" in last["message"]
    assert "Traceback" in last["exception"]
    assert str(nowhere) in last["exception"]


def test_requests_need_not_be_logged_and_a_crash_of_native_code_leaves_every_threads_stack(
    launch: Launch, checkpoints: Path
) -> None:
    running = until_serving(launch(checkpoints / "tiny-mmm", "--backend", "in-process", "--no-request-log"))
    with Client(running.address) as client:
        client.sample("tiny-mmm", 1)
    assert running.stop(signal.SIGSEGV) == -signal.SIGSEGV
    assert any("Segmentation fault" in line for line in running.lines)
    assert any("server/app.py" in line or "asyncio" in line for line in running.lines)
    assert not [line for line in written(running) if line["logger"] == "rdserve.request"]


def test_a_storm_of_one_kind_fills_no_disk_and_what_matters_is_there(
    launch: Launch, checkpoints: Path
) -> None:
    running = until_serving(
        launch(checkpoints / "tiny-mmm", "--backend", "in-process", "--request-log-rate", "20")
    )
    begun = monotonic()
    with grpc.insecure_channel(running.address) as channel:
        stub = VaeServiceStub(channel)
        storm = [stub.Score.future(ScoreRequest(model="tiny-mmm")) for _ in range(500)]
        codes = {call.exception().code() for call in storm}  # type: ignore[attr-defined]
        stub.ListModels(ListModelsRequest())
    assert codes == {grpc.StatusCode.INVALID_ARGUMENT}
    running.stop()
    lines = [line for line in written(running) if line["logger"] == "rdserve.request"]
    kinds = Counter((line["method"], line["code"]) for line in lines)
    assert 20 <= kinds["Score", "INVALID_ARGUMENT"] <= 21 + 20 * (monotonic() - begun) / 60
    assert kinds["ListModels", "OK"] == 1


def test_faults_and_slow_answers_always_have_a_line_and_the_rest_is_counted() -> None:
    sampling = logs.LogSampling(per_minute=2)
    ok, bug = grpc.StatusCode.OK, grpc.StatusCode.INTERNAL
    assert [sampling.left_out("Score", ok, 0.01, 0.0) for _ in range(5)] == [0, 0, None, None, None]
    assert [sampling.left_out("Score", bug, 0.01, 0.0) for _ in range(5)] == [0] * 5
    assert sampling.left_out("Encode", ok, 0.01, 0.0) == 0
    assert sampling.left_out("Score", ok, 2 * logs.SLOW_SECONDS, 1.0) == 3
    assert sampling.left_out("Score", ok, 0.01, 2.0) is None
    assert sampling.left_out("Score", ok, 0.01, 60.0) == 1


def test_a_comparison_names_all_its_models(torchserve_service: Shared) -> None:
    images = tensors.to_message(np.zeros((2, 8, 8), bool))
    request = CompareRequest(models=["tiny-ppp", "tiny-mmm", "nope"], images=images)
    with grpc.insecure_channel(torchserve_service.address) as channel:
        list(VaeServiceStub(channel).Compare(request, metadata=(("x-request-id", "logs/compare"),)))
    until(lambda: any("logs/compare" in line for line in list(torchserve_service.lines)))
    (line,) = (line for line in written(torchserve_service) if line.get("request_id") == "logs/compare")
    assert (line["method"], line["code"]) == ("Compare", "OK")
    assert sorted(line["models"]) == ["tiny-mmm", "tiny-ppp"]
    assert line["model_count"] == 2
    assert "model" not in line


def test_of_very_many_models_some_are_named(caplog: pytest.LogCaptureFixture) -> None:
    rpc = RpcContext.of("/rdserve.v1.VaeService/Compare", ())
    rpc.models.update({f"m{k}": "1.0" for k in range(1000)})
    with caplog.at_level(logging.INFO, "rdserve.request"):
        logs.request(
            rpc, Method("server_stream", "rdserve.v1.VaeService", "Compare"), grpc.StatusCode.OK, 1.0
        )
    facts = caplog.records[0].facts  # type: ignore[attr-defined]
    assert facts["model_count"] == 1000
    assert facts["models"] == [f"m{k}" for k in range(16)]
