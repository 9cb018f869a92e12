"""A few x of the data, beside the graphs of a model that others made: with them it is tried. numpy only."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rdserve.models.card import CardError, OnnxCard, sha256_of
from rdserve.models.card_parts import MAX_EXAMPLES, FileSpec
from rdserve.models.input_values import Array, dtype_of, wrong
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

EXAMPLES_FILE = "examples.safetensors"


def read_examples(card: OnnxCard, folder: Path) -> tuple[Array, NDArray[np.int64]]:
    """x (N, *shape) as the service takes them, and ids (N,): which rows they are of the card's split.

    Raises:
        CardError: not what the card says.
    """
    path = folder / card.examples.file
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CardError(f"{path}: {error}") from None
    x, ids = stored.get("x"), stored.get("ids")
    if x is None or ids is None or x.shape[1:] != card.input.shape or ids.shape != x.shape[:1]:
        found = {name: each.shape for name, each in stored.items()}
        raise CardError(
            f"{path}: x (N, {', '.join(map(str, card.input.shape))}) and ids (N,), it holds {found}"
        )
    if not 2 <= len(x) <= MAX_EXAMPLES:
        raise CardError(f"{path}: 2 to {MAX_EXAMPLES} examples, it holds {len(x)}")
    if wrong(card.input)(x).any():
        raise CardError(f"{path}: some x are none of kind {card.input.kind!r}")
    return x.astype(dtype_of(card.input)), ids.astype(np.int64)


def write_examples(folder: Path, x: Array, ids: NDArray[np.int64]) -> FileSpec:
    """Write them, and say what the card must say of the file."""
    save_file({"x": np.ascontiguousarray(x), "ids": ids}, folder / EXAMPLES_FILE)
    (folder / EXAMPLES_FILE).chmod(0o644)
    return FileSpec(file=EXAMPLES_FILE, sha256=sha256_of(folder / EXAMPLES_FILE))
