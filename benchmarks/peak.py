"""What a device computes at most, measured on it."""

from time import perf_counter

import torch
from rdserve.models.execution.config import ExecutionConfig, Precision

MATRIX = 4096
REPEATS = 10


def peak(device: torch.device, precision: Precision) -> float:
    """Operations per second of a large matrix product, measured here."""
    how = ExecutionConfig(device, precision)
    how.prepare()
    size = MATRIX if device.type == "cuda" else MATRIX // 4
    a = torch.ones(size, size, device=device)
    seconds = []
    with torch.inference_mode(), how.computing():
        for _ in range(REPEATS):
            start = perf_counter()
            (a @ a).sum().item()
            seconds.append(perf_counter() - start)
    return 2 * size**3 / min(seconds)
