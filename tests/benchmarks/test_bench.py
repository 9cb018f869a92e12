"""Benchmarks on real processes: the shape of what they write, never its numbers."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rdserve.cli.exits import Code
from rdserve.loadtest.plan import IN_FLIGHT
from running import Running, until_serving
from shell import RDSERVE, rdserve

from benchmarks.soak import Memory, soak

pytestmark = pytest.mark.slow

MODEL = "tiny-mmm"
FIGURES = {"rps", "images_per_second", "p50_ms", "p99_ms", "errors"}


def test_quick_writes_every_cell_and_the_ratios(tmp_path: Path) -> None:
    out = tmp_path / "latest.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = json.loads(out.read_text())
    batched = {f"{way}, batches of 32, 1 ms" for way in ("native", "HTTP unmerged")}
    ways = {"front", "native", "client", "client, merged", *batched}
    assert {cell["way"] for cell in written["cells"]} == ways | {"in-process"}
    for cell in written["cells"]:
        assert cell.keys() >= FIGURES
        assert not cell["errors"], cell
        assert cell["rps"] > 0
    # A process may spend less in one quick cell than the system's clock can tell.
    seen = {role for cell in written["cells"] for role in cell["cpu_ms"]}
    assert seen == {"client", "front", "JVM", "worker"}
    assert len(written["ratios"]) == 10
    assert all(isinstance(ratio, float) and ratio > 0 for ratio in written["ratios"].values())
    for name in written["ratios"]:
        assert name.split(": ")[0] in " ".join(done.stdout.split())


def test_any_address_is_measured_alone(tmp_path: Path, in_process_service: str) -> None:
    out = tmp_path / "latest.json"
    done = rdserve("bench", "--quick", "--server", in_process_service, "--out", out)
    assert done.returncode == 0, done.stderr
    assert f"measuring {MODEL} alone, the first of 3; --models names others\n" in done.stderr
    written = json.loads(out.read_text())
    assert {cell["model"] for cell in written["cells"]} == {MODEL}
    seen = {(cell["op"], cell["rows"]) for cell in written["cells"]}
    assert seen == {(op, rows) for op in ("encode", "score", "reconstruct") for rows in (1, 64)}
    loads = [cell.get("in_flight", "open") for cell in written["cells"]]
    assert {1, "open"} <= {*loads}
    # Each closed loop is measured or, on a busy machine, said to take too long.
    assert len(loads) - loads.count("open") + len(written["skipped"]) == len(seen) * len(IN_FLIGHT)
    assert {cell["way"] for cell in written["cells"]} == {"front"}


def test_no_service_is_one_line(tmp_path: Path) -> None:
    done = rdserve("bench", "--server", "127.0.0.1:1", "--out", tmp_path / "latest.json")
    assert done.returncode == Code.UNAVAILABLE
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "latest.json").exists()


def test_yardsticks_are_the_repository_s(tmp_path: Path) -> None:
    command = [*RDSERVE, "bench", "--sampling", "1", "--quick"]
    inside = subprocess.run(command, capture_output=True, text=True)
    assert inside.returncode == 0, inside.stderr
    assert inside.stdout.startswith("naive over incremental, 1 thread\n")
    outside = rdserve("bench", "--quick", cwd=tmp_path)
    assert outside.returncode == Code.USAGE
    assert "in a clone of the repository: `make bench` there" in " ".join(
        outside.stderr.replace("│", "").split()
    )


def test_the_slope_is_of_what_follows_the_warm_up() -> None:
    memory = Memory(requests=[1000 * n for n in range(1, 10)], resident={"front": [50.0, 90.0, *[100.0] * 7]})
    assert memory.growth("front") == pytest.approx(0, abs=1e-9)
    memory.resident["front"] = [float(n) for n in range(1, 10)]
    assert memory.growth("front") == pytest.approx(10)


def test_thousands_of_requests_leave_memory_where_it_was(
    launch: Callable[..., Running], checkpoints: Path
) -> None:
    """A leak of 10 kB per request, the least that a forgotten request or answer of this mix would leave,
    is 26 MiB over the 2,700 requests that are compared; allocators and Java's heap waver by less than 25."""
    running = until_serving(launch(checkpoints / MODEL))
    memory = asyncio.run(soak(running.address, running.pid, MODEL, (8, 8), 4500, print))
    assert memory.errors == 0
    assert {process.split()[0] for process in memory.resident} >= {"front", "JVM", "worker"}
    for process in memory.resident:
        _, resident = memory.settled(process)
        grown = max(resident[-5:]) - max(resident[:5])
        assert grown < 25, f"{process} grew by {grown:.0f} MiB: {resident}"
