"""Arrays too long to be looked at whole: a stretch of rows at a time."""

from collections.abc import Iterator

from rdserve.wire.batches import slices

# Rows at once. A multiple of eight: bits packed into bytes then begin anew with each stretch.
STRETCH = 4096


def stretches(n: int) -> Iterator[slice]:
    """0 .. n in consecutive slices of at most STRETCH."""
    return slices(n, STRETCH)
