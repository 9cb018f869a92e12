"""The words and figures of a report, built again from the comparison inside it.

Pictures are not compared, nor what stands with them: they are the models', and drawn by the service. Nor is
the line that says when, where and by what command the comparison was made: the data do not hold it.
"""

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from itertools import zip_longest
from typing import Any

from numpy.typing import NDArray
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.rebuilt import ABSOLUTE, RELATIVE
from rdserve.compare.render.document import DATA_ID
from rdserve.compare.render.html import report
from rdserve.compare.scores import ScoreSet

Attributes = Sequence[tuple[str, str | None]]

WITHOUT_PICTURES = "Models without pictures"
VOID = {"meta", "link", "br", "img", "input", "hr"}
# The rules of the style sheet that show pictures.
_SPRITE = re.compile(
    r"(\.panel \.px, \.card )?\.px \{ height: \d+px; width: \d+px; \}"
    r"|\.(data|m\d+) \{ background-image: url\(data:image/png;base64,[\w+/=]+\); "
    r"background-size: \d+% \d+%; \}"
    r"|(\.(data|m\d+))?\.[xy]\d+ \{ background-position-[xy]: [\d.]+%; \}"
)
_STYLE_HASH = re.compile(r"style-src '[^']*'")
_NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")
MOST_NAMED = 5


def altered(html: str, scored: ScoreSet, images: NDArray[Any] | None = None) -> list[str]:
    """Where a report's page is not what its scores and images give, a line each; of many the first few."""
    found = _differing(pieces(html), pieces(report.render(Analysis(scored), images=images)))
    return list(found)[:MOST_NAMED]


def pieces(html: str) -> list[str]:
    """Tags with their attributes, and texts, in order: without the data, and without pictures."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found


def _differing(given: Sequence[str], built: Sequence[str]) -> Iterator[str]:
    for one, other in zip_longest(given, built, fillvalue="nothing"):
        if not _alike(one, other):
            yield f"the page says {_short(one)}, its data give {_short(other)}"
            if one.startswith("<") or other.startswith("<"):
                return  # what follows stands elsewhere


def _alike(given: str, built: str) -> bool:
    """Whether two pieces are the same, numbers to rounding."""
    if given == built:
        return True
    if _NUMBER.sub("#", given) != _NUMBER.sub("#", built):
        return False
    pairs = zip(_NUMBER.findall(given), _NUMBER.findall(built), strict=True)
    return all(abs(float(a) - float(b)) <= ABSOLUTE + RELATIVE * abs(float(b)) for a, b in pairs)


def _short(piece: str) -> str:
    return repr(piece if len(piece) <= 240 else f"{piece[:237]}...")


class _Reader(HTMLParser):
    """Collects the pieces, and leaves out what the data do not imply, with all that is inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[str] = []
        self._left_out = 0  # depth of the element that is left out; 0: none
        self._latents = False

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self._open.append(tag)
        if not self._left_out and tag not in VOID and self._not_of_the_data(tag, given):
            self._left_out = len(self._open)
        if not self._left_out:
            words = [f'{name}="{_STYLE_HASH.sub("style-src", value)}"' for name, value in given.items()]
            self.found.append(f"<{' '.join([tag, *words])}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID or tag not in self._open:
            return
        while self._open:
            closed = self._open.pop()
            if len(self._open) < self._left_out:
                self._left_out = 0
            if closed == tag:
                return

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            data = "\n".join(line for line in data.splitlines() if not _SPRITE.fullmatch(line.strip()))
        words = " ".join(data.split())
        if words and not self._left_out:
            self.found.append(words)
            self._latents = words == "latent"

    def _not_of_the_data(self, tag: str, given: dict[str, str]) -> bool:
        inside = self._open[-2] if len(self._open) > 1 else ""
        return (
            (tag == "figure" and given == {"class": "pictures"} and inside == "div")
            or (tag == "section" and given.get("id") == "differ" and inside == "main")
            or (tag == "a" and given == {"href": "#differ"} and inside == "nav")
            or (tag == "aside" and given.get("aria-label") == WITHOUT_PICTURES and inside == "header")
            or (tag == "p" and given == {"class": "origin"})
            or (tag == "script" and given.get("id") == DATA_ID)
            or (tag == "dd" and self._latents)
        )
