"""What to say of a name that is not there: those that may have been meant, not all that there are."""

from collections.abc import Iterable
from heapq import nlargest

LISTED = 4
MEANT = 3


def instead(name: str, known: Iterable[str]) -> str:
    """ "there are: a, b"; of many, "did you mean a or b? There are 19"; or how many, where none is alike."""
    names = sorted(known)
    if len(names) <= LISTED:
        return f"there are: {', '.join(names) or 'none'}"
    alike = {one: shared(name, one) for one in names}
    meant = nlargest(MEANT, (one for one in names if 2 * alike[one] >= len(name)), key=alike.__getitem__)
    return (
        f"did you mean {' or '.join(meant)}? There are {len(names)}" if meant else f"there are {len(names)}"
    )


def shared(a: str, b: str) -> int:
    """How many letters two names share at their beginnings and ends: nearly all, where one slip was made.

    A service answers with this, so it takes time in proportion to the names, unlike difflib.
    """
    start = _beginning(a, b)
    return start + _beginning(a[start:][::-1], b[start:][::-1])


def _beginning(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
