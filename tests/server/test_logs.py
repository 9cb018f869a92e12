"""The log: readable causes, one line each."""

import json
import logging
import signal
from collections.abc import Callable
from pathlib import Path

from rdserve.server.logs import JsonLines
from running import Running, until_serving

Launch = Callable[..., Running]


def written(running: Running) -> list[dict[str, str]]:
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
