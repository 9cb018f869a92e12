"""What to say of a name that is not there: those that may have been meant, not all that there are."""

from bisect import bisect_left
from collections.abc import Iterable
from heapq import nlargest

LISTED = 4
MEANT = 3
# Names looked at letter by letter, before and after the place of the name that was asked for: a service
# answers with this, to anyone, as often as one asks.
AROUND = 20


def instead(name: str, known: Iterable[str]) -> str:
    """ "there are: a, b"; of many, "did you mean a or b? There are 19"; or how many, where none is alike."""
    names = sorted(known)
    if len(names) <= LISTED:
        return f"there are: {', '.join(names) or 'none'}"
    alike = {one: shared(name, one) for one in _near(name, names)}
    meant = nlargest(MEANT, (one for one in alike if 2 * alike[one] >= len(name)), key=alike.__getitem__)
    return (
        f"did you mean {' or '.join(meant)}? There are {len(names)}" if meant else f"there are {len(names)}"
    )


def shared(a: str, b: str) -> int:
    """How many letters two names share at their beginnings and ends: nearly all, where one slip was made.

    Unlike difflib, it takes time in proportion to the names.
    """
    start = _beginning(a, b)
    return start + _beginning(a[start:][::-1], b[start:][::-1])


def _near(name: str, names: list[str]) -> list[str]:
    """Those of sorted names with the longest beginnings or ends in common with this one."""
    turned = sorted(one[::-1] for one in names)
    found = _around(name, names) + [one[::-1] for one in _around(name[::-1], turned)]
    return sorted(set(found))


def _around(name: str, names: list[str]) -> list[str]:
    at = bisect_left(names, name)
    return names[max(0, at - AROUND) : at + AROUND]


def _beginning(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
