"""Progress on a terminal, and in a log."""

from io import StringIO

import pytest
from rdserve.cli.console import ProgressLines, progress
from rich.console import Console


def test_a_log_gets_a_few_lines_in_place_of_a_bar() -> None:
    said: list[str] = []
    seconds = 0.0
    tell = ProgressLines("scoring", 1000, said.append, lambda: seconds)
    for _ in range(1000):
        seconds += 0.3
        tell(1)
    assert said == [
        "scoring: 7% done, about 5 min left",
        "scoring: 25% done, about 4 min left",
        "scoring: 50% done, about 2 min left",
        "scoring: 75% done, about 75 s left",
    ]


@pytest.mark.parametrize(
    "title", ["scoring 18 models (test, 10000 images)", "scoring 18 models of " + 40 * "x"]
)
def test_a_bar_fits_80_columns(title: str) -> None:
    screen = StringIO()
    with progress(title, 180000, Console(file=screen, force_terminal=True, width=80)) as done:
        done(40000)
    shown = screen.getvalue()
    assert title[:39] in shown
    assert "40000/180000" in shown
    assert "left" in shown


def test_what_is_quickly_done_gets_no_line() -> None:
    screen = StringIO()
    with progress("scoring", 2, Console(file=screen)) as done:
        done(1)
        done(1)
    assert screen.getvalue() == ""
