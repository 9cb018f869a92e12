"""Arrays too long to be looked at whole: a stretch of rows at a time."""

from collections.abc import Iterator

# Rows at once. A multiple of eight: bits packed into bytes then begin anew with each stretch.
STRETCH = 4096


def stretches(n: int) -> Iterator[slice]:
    """0 .. n in consecutive slices of at most STRETCH."""
    return (slice(start, min(start + STRETCH, n)) for start in range(0, n, STRETCH))
