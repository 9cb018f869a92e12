"""A bound on what a model that others made may allocate: a few bytes of graph can ask for gigabytes."""

import resource
from pathlib import Path

from rdserve.models.card import OnnxCard, read_card

# Beyond what the process holds before it loads the model, and a few copies of its files.
WORKING_BYTES = 2**30
COPIES = 3


def bound_memory_for(folder: Path) -> None:
    """From now on this process gets so much more for the model in a folder, if it is of graphs: what asks
    for more gets MemoryError. Others are left alone.

    Raises:
        CardError: no card, or one that breaks the contract.
    """
    card = read_card(folder)
    if not isinstance(card, OnnxCard):
        return
    files = sum((folder / name).stat().st_size for name in card.files if (folder / name).is_file())
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _data_bytes() + WORKING_BYTES + COPIES * files
    resource.setrlimit(
        resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
    )


def _data_bytes() -> int:
    """Private, writable memory, as RLIMIT_DATA counts it."""
    pages = Path("/proc/self/statm").read_text().split()[5]
    return int(pages) * resource.getpagesize()
