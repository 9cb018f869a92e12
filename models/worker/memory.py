"""A bound on what a model that others made may allocate: a few bytes of graph can ask for gigabytes."""

import resource
from pathlib import Path

# Beyond what the process holds when the model is loaded.
WORKING_BYTES = 2**30


def bound_memory(working: int = WORKING_BYTES) -> None:
    """From now on this process gets at most `working` bytes more; what asks beyond that gets MemoryError."""
    held = _data_bytes() + working
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = held if hard == resource.RLIM_INFINITY else min(held, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _data_bytes() -> int:
    """Private, writable memory, as RLIMIT_DATA counts it."""
    pages = Path("/proc/self/statm").read_text().split()[5]
    return int(pages) * resource.getpagesize()
