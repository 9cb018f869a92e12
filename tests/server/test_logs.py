"""The log: readable causes, one line each."""

import json
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from polling import until
from rdserve.server import logs
from rdserve.server.logs import JsonLines
from rdserve.server.observe import Method
from rdserve.server.observed import Rpc
from rdserve.v1 import tensors
from rdserve.v1.vae_pb2 import CompareRequest
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from running import Running, until_serving

Launch = Callable[..., Running]


def written(running: Running) -> list[dict[str, Any]]:
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


def test_a_crash_of_native_code_leaves_every_threads_stack(launch: Launch, checkpoints: Path) -> None:
    running = until_serving(launch(checkpoints / "tiny-mmm", "--backend", "in-process"))
    assert running.stop(signal.SIGSEGV) == -signal.SIGSEGV
    assert any("Segmentation fault" in line for line in running.lines)
    assert any("server/app.py" in line or "asyncio" in line for line in running.lines)


def test_requests_need_not_be_logged(launch: Launch, checkpoints: Path) -> None:
    from rdserve.client import Client

    running = until_serving(launch(checkpoints / "tiny-mmm", "--backend", "in-process", "--no-request-log"))
    with Client(running.address) as client:
        client.sample("tiny-mmm", 1)
    running.stop()
    assert not [line for line in written(running) if line["logger"] == "rdserve.request"]


def test_a_comparison_names_all_its_models(torchserve_service: Running) -> None:
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
    rpc = Rpc.of("/rdserve.v1.VaeService/Compare", ())
    rpc.models.update({f"m{k}": "1.0" for k in range(1000)})
    with caplog.at_level(logging.INFO, "rdserve.request"):
        logs.request(
            rpc, Method("server_stream", "rdserve.v1.VaeService", "Compare"), grpc.StatusCode.OK, 1.0
        )
    facts = caplog.records[0].facts  # type: ignore[attr-defined]
    assert facts["model_count"] == 1000
    assert facts["models"] == [f"m{k}" for k in range(16)]
