"""`rdserve health`, as a container's health check runs it."""

import os
import subprocess
from pathlib import Path

from grpc_health.v1.health_pb2 import HealthCheckResponse
from scripted import scripted
from shell import RDSERVE, rdserve


def test_a_service_that_serves(in_process_service: str) -> None:
    done = rdserve("health", "--server", in_process_service)
    assert done.returncode == 0
    assert done.stdout == f"{in_process_service} rdserve.v1.VaeService: SERVING\n"
    assert rdserve("health", "--server", in_process_service, "--alive").returncode == 0
    assert rdserve("health", "--server", in_process_service, "--model", "tiny-mmm").returncode == 0


def test_a_model_that_is_not_there(in_process_service: str) -> None:
    done = rdserve("health", "--server", in_process_service, "--model", "absent")
    assert done.returncode == 1
    assert "NotFound" in done.stdout


def test_a_service_that_loads() -> None:
    with scripted(health=HealthCheckResponse.NOT_SERVING) as address:
        done = rdserve("health", "--server", address)
    assert (done.returncode, done.stdout) == (1, f"{address} rdserve.v1.VaeService: NOT_SERVING\n")


def test_nobody_there(tmp_path: Path) -> None:
    env = {"RDSERVE_HEALTH_SERVER": f"unix:{tmp_path}/absent", "RDSERVE_HEALTH_TIMEOUT": "2"}
    done = subprocess.run([*RDSERVE, "health"], capture_output=True, text=True, env=os.environ | env)
    assert done.returncode == 1
    assert "absent rdserve.v1.VaeService: Unreachable: nothing answers there (" in done.stdout
    assert "Traceback" not in done.stderr
