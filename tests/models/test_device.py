"""Reduced precision costs little in nats, and a batch that does not fit is tried in two halves."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from numpy.typing import NDArray
from rdserve.data import load
from rdserve.models.execution import Precision
from rdserve.models.execution.config import VARIABLE, ExecutionConfig, chosen_precision
from rdserve.models.worker.worker import Worker
from rdserve.v1.vae_pb2 import NoiseKeys, ScoreRequest
from rdserve.v1.worker_pb2 import WORK_ERROR_REASON_OUT_OF_MEMORY, WorkReply, WorkRequest
from rdserve.wire import tensors

pytestmark = pytest.mark.slow

ZOO = Path(__file__).parents[2] / "zoo/digits"

# Addresses taken by threads' heaps, and freed ones kept for later, would differ from run to run.
STEADY = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(2**20)}

# What both programs start with: a worker that has answered once, and requests to reconstruct n images.
WORKER = """
import resource, sys
from pathlib import Path
import psutil, torch
from rdserve.models.worker.dispatch import run
from rdserve.models.card import Architecture
from rdserve.models.execution.config import out_of_memory
from rdserve.models.worker.worker import Worker
from rdserve.models.families import build
from rdserve.v1.vae_pb2 import DTYPE_UINT8, NoiseKeys, ReconstructRequest, Tensor
from rdserve.v1.worker_pb2 import WorkReply, WorkRequest
from tiny import tiny_card

torch.set_num_threads(1)
torch.manual_seed(0)
architecture = Architecture(family="---", image_size=64, latent_dim=4, width=0.125, n_pseudo_inputs=8)
worker = Worker(tiny_card("large", architecture), build(architecture))

def request(n):
    images = Tensor(dtype=DTYPE_UINT8, shape=[n, 64, 64], data=bytes(n * 64 * 64))
    return ReconstructRequest(model="large", images=images, noise=NoiseKeys(seed=0))

def reply(n):
    body = WorkRequest(reconstruct=request(n)).SerializeToString()
    return WorkReply.FromString(worker.work([body])[0])

reply(2)
before = psutil.Process().memory_info().vms
"""

# Argument: how many images. Prints the bytes of address space that they take at once.
PEAK = """
reply(int(sys.argv[1]))
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmPeak"))
print(int(peak.split()[1]) * 1024 - before)
"""

# Argument: bytes that the process may take beyond what it has before it reconstructs 512 images.
LIMITED = """
def whole():
    try:
        with torch.inference_mode():
            run(worker.vae, worker.card, request(512), worker.config)
    except Exception as error:
        return "too-large" if out_of_memory(error) else repr(error)
    return "fits"

limit = before + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
answer = reply(512)
shape = answer.reconstruct.images.shape
print(whole(), answer.error.reason, shape[0] if shape else 0, sum(answer.reconstruct.images.data))
"""


def program(text: str, argument: int) -> list[str]:
    """What a process of its own prints, in words."""
    path = os.pathsep.join([str(Path(tiny.__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", WORKER + text, str(argument)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path} | STEADY,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@cache
def peak(images: int) -> int:
    """Bytes of address space that so many images take at once on this machine."""
    return int(program(PEAK, images)[0])


def reconstruct_512(limit: int) -> tuple[str, int, int, int]:
    """Does it fit at once; reason of failure; rows drawn; sum of their pixels."""
    fits, reason, rows, total = program(LIMITED, limit)
    return fits, int(reason), int(rows), int(total)


def test_what_does_not_fit_at_once_is_done_in_halves() -> None:
    half, whole = peak(256), peak(512)
    fits, reason, rows, total = reconstruct_512((half + whole) // 2)
    assert (fits, reason, rows) == ("too-large", 0, 512)
    assert total == pytest.approx(reconstruct_512(4 * whole)[-1], rel=0.01)


def test_what_does_not_fit_in_halves_either_says_so() -> None:
    assert reconstruct_512(peak(256) // 4) == ("too-large", WORK_ERROR_REASON_OUT_OF_MEMORY, 0, 0)


@pytest.mark.parametrize("name", ["digits-mpv-b1.0", "digits-mmv-b1.0"])
def test_bfloat16_moves_rate_and_distortion_by_hundredths_of_a_nat(name: str) -> None:
    """Means over 200 digits; single digits move by up to 0.2 nats."""
    images = load("digits", split="test").images[:200]
    request = ScoreRequest(model=name, images=tensors.to_message(images), noise=NoiseKeys(seed=0))
    exact, reduced = (_score(name, request, precision) for precision in ("float32", "bfloat16"))
    difference = reduced - exact
    assert np.abs(difference.mean(1)).max() < 0.02
    assert np.abs(difference).max() < 0.5
    assert np.abs(difference).max() > 0  # bfloat16 was really used


def _score(name: str, request: ScoreRequest, precision: Precision) -> NDArray[np.float64]:
    """Rates and distortions, (2, N) nats."""
    worker = Worker.load(ZOO / name, ExecutionConfig(torch.device("cpu"), precision))
    reply = WorkReply.FromString(worker.work([WorkRequest(score=request).SerializeToString()])[0])
    return np.array([reply.score.rate_nats, reply.score.distortion_nats])


def test_a_worker_is_told_its_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_precision() == "float32"
    monkeypatch.setenv(VARIABLE, "bfloat16")
    assert chosen_precision() == "bfloat16"
    monkeypatch.setenv(VARIABLE, "int4")
    with pytest.raises(ValueError, match="'int4'; give one of float32, tf32, bfloat16"):
        chosen_precision()
