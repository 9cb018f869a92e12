"""Measurements as a table on stdout."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def table(rows: "Sequence[DataclassInstance]") -> None:
    """As Markdown."""
    heads = list(asdict(rows[0]))
    print("| " + " | ".join(head.replace("_", " ") for head in heads) + " |\n" + "|---" * len(heads) + "|")
    for row in rows:
        values = asdict(row).values()
        print("| " + " | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values) + " |")
    print()
