"""Reduced precision costs little in nats, and a batch that does not fit is tried in two halves."""

import os
import subprocess
import sys
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

# A worker reconstructs 64 images, then 128, and then 128 within bytes of address space that do not hold
# them all, and within bytes that do not hold half of them. Prints a line of facts for each of the last three.
PROGRAM = """
import resource
from pathlib import Path
import psutil, torch
from rdserve.models.worker.dispatch import run
from rdserve.models.card_parts import Architecture
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

def taken():
    return psutil.Process().memory_info().vms

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmPeak")).split()[1]) * 1024

def whole():
    try:
        with torch.inference_mode():
            run(worker.vae, worker.card, request(128), worker.config)
    except Exception as error:
        return "too-large" if out_of_memory(error) else repr(error)
    return "fits"

def say(answer):
    shape = answer.reconstruct.images.shape
    print(whole(), answer.error.reason, shape[0] if shape else 0, sum(answer.reconstruct.images.data))

def say_within(more):
    limit = taken() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    say(reply(128))

reply(2)
before = taken()
reply(64)
half = peak() - before
answer = reply(128)
all_at_once = peak() - before
say(answer)
say_within((half + all_at_once) // 2)
say_within(half // 4)
"""


@pytest.fixture(scope="module")
def reconstructions() -> list[tuple[str, int, int, int]]:
    """Of 128 images with no limit, one that holds half of them at once, and one that does not hold these.

    Each: do they fit at once; the reason of failure; rows drawn; sum of their pixels.
    """
    path = os.pathsep.join([str(Path(tiny.__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path} | STEADY,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return [(fits, int(reason), int(rows), int(total)) for fits, reason, rows, total in lines]


def test_what_does_not_fit_at_once_is_done_in_halves(
    reconstructions: list[tuple[str, int, int, int]],
) -> None:
    unlimited, limited, _ = reconstructions
    assert unlimited[:3] == ("fits", 0, 128)
    assert limited[:3] == ("too-large", 0, 128)
    assert limited[-1] == pytest.approx(unlimited[-1], rel=0.01)


def test_what_does_not_fit_in_halves_either_says_so(
    reconstructions: list[tuple[str, int, int, int]],
) -> None:
    assert reconstructions[-1] == ("too-large", WORK_ERROR_REASON_OUT_OF_MEMORY, 0, 0)


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
