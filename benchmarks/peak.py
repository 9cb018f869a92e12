"""What a device computes at most, measured on it."""

from time import perf_counter

import torch
from rdserve.models.execution import Precision
from rdserve.models.execution.config import ExecutionConfig

MATRIX = 4096
REPEATS = 10


def peak(device: torch.device, precision: Precision) -> float:
    """Operations per second of a large matrix product, measured here."""
    config = ExecutionConfig(device, precision)
    config.prepare()
    size = MATRIX if device.type == "cuda" else MATRIX // 4
    a = torch.ones(size, size, device=device)
    seconds = []
    with torch.inference_mode(), config.computing():
        for _ in range(REPEATS):
            start = perf_counter()
            (a @ a).sum().item()
            seconds.append(perf_counter() - start)
    return 2 * size**3 / min(seconds)
