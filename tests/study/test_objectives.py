"""Objectives beside the beta curve: seeds, heights above it, the page and the picture."""

import math
from pathlib import Path

import numpy as np
import pytest
from rdserve.study.codes import CodeSummary, codes
from rdserve.study.figures import objectives as figure
from rdserve.study.objectives import above, curve, rows, words
from rdserve.study.objectives_page import render
from rdserve.study.replicates import mean_over_seeds, replicates
from rdserve.study.zoo_scores import ScoredModel
from shell import rdserve
from studied import run_at


def run(beta: float, rate: float, distortion: float, suffix: str = "", **what: str) -> ScoredModel:
    family = what.pop("family", "---")
    return run_at((family, beta, rate, distortion), name=f"digits-mmm-b{beta}{suffix}", **what)  # type: ignore[arg-type]


# Two seeds of a curve D = 20 - R and D = 22 - R, of which the middle point lies above its seed's hull.
CURVE = [
    run(1.0, 2.0, 18.0, "-s0"),
    run(0.7, 4.0, 17.0, "-s0"),
    run(0.4, 8.0, 12.0, "-s0"),
    run(1.0, 2.0, 20.0, "-s1"),
    run(0.4, 8.0, 14.0, "-s1"),
]
GECO = [
    run(1.0, 5.0, 15.5, "-geco-5-s0", objective="geco"),
    run(1.0, 6.0, 16.7, "-geco-5-s1", objective="geco"),
]


def test_runs_are_told_apart_by_seed_alone() -> None:
    found = {each.name: sorted(each.runs) for each in replicates([*CURVE, run(0.2, 9.0, 9.0)])}
    assert found == {
        "digits-mmm-b1.0": [0, 1],
        "digits-mmm-b0.7": [0],
        "digits-mmm-b0.4": [0, 1],
        "digits-mmm-b0.2": [0],
    }


def test_a_mean_over_seeds_has_students_interval() -> None:
    found = mean_over_seeds([1.0, 3.0, math.nan, 2.0])
    assert found is not None
    assert (found.mean, found.n) == (2.0, 3)
    assert found.margin == pytest.approx(4.302653 / 3**0.5)
    assert found.words == "2.00 ± 2.48"
    one = mean_over_seeds([1.0])
    assert one is not None
    assert one.words == "1.00"
    assert mean_over_seeds([math.nan]) is None


def test_the_curve_is_each_seeds_own_hull() -> None:
    np.testing.assert_allclose(curve(CURVE, "---", 0), [[2, 18], [8, 12]])
    assert above(curve(CURVE, "---", 0), CURVE[1]) == pytest.approx(1.0)
    assert math.isnan(above(curve(CURVE, "---", 0), run(0.1, 9.0, 9.0)))
    assert math.isnan(above(curve(CURVE, "-+v", 0), CURVE[0]))


def test_annealed_and_other_objectives_are_held_against_it() -> None:
    annealed = run_at(("---", 1.0, 3.0, 16.0), annealed=True, name="digits-mmm-b1.0-annealed-s0")
    found = {row.words: row for row in rows([*CURVE, *GECO, annealed])}
    assert list(found) == ["beta 1", "beta 1, annealed", "beta 0.7", "geco-5", "beta 0.4"]
    geco = found["geco-5"].above_curve
    assert geco is not None
    assert (geco.mean, geco.n) == (pytest.approx((0.5 + 0.7) / 2), 2)
    assert found["beta 1, annealed"].above_curve == (
        pytest.approx(-1.0),
        pytest.approx(math.nan, nan_ok=True),
        1,
    )
    assert [row.on_curve for row in found.values()] == [True, False, True, False, True]


def test_sparse_codes_are_held_against_dense_ones() -> None:
    sparse = run(1.0, 5.0, 14.0, "-sparse-0.2-s0", family="sparse-")
    (row,) = (row for row in rows([*CURVE, sparse]) if row.runs.first is sparse)
    assert (row.family, row.words, row.on_curve) == ("---", "sparse-0.2, beta 1", False)
    assert row.above_curve is not None
    assert row.above_curve.mean == pytest.approx(-1.0)
    assert words(replicates([sparse])[0]) == row.words


def test_what_codes_are_like() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    z = np.zeros((60, 4))
    z[:, 0] = 2.0 * labels - 1 + 0.1 * rng.normal(size=60)
    z[:, 1] = rng.normal(size=60)
    found = codes(z, labels, np.repeat(z[:, None], 3, 1), labels)
    assert found == CodeSummary(nonzero=2.0, active_units=2, probe_accuracy=1.0)


def test_the_page_and_the_picture_have_each_objective() -> None:
    seen = {model.name: CodeSummary(15.5, 9, 0.875) for model in GECO}
    found = rows([*CURVE, *GECO], seen)
    page = render(found, title="7 models on digits", command="rdserve objectives", figure="objectives.svg")
    (line,) = (line for line in page.splitlines() if line.startswith("| geco-5"))
    assert line.startswith("| geco-5 | `---` | 2 | 5.50 ± 6.35 | 16.10 ± 7.62 | 0.60 ± 1.27 | 15.50 ± 0.00 |")
    assert line.endswith(" | 9.00 ± 0.00 | 0.88 ± 0.00 |")
    assert "| beta 0.7 | `---` | 1 | 4.00 | 17.00 | on it | – | – | – |" in page
    axes = figure.objectives(found, "title").axes[0]
    assert {text.get_text() for text in axes.texts} == {"beta 1", "beta 0.7", "beta 0.4", "geco-5"}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["beta, not annealed", "geco"]


@pytest.mark.slow
def test_the_command(in_process_service: str, tmp_path: Path) -> None:
    few = ("--limit", "60", "--work", tmp_path / "work", "--out", tmp_path / "out")
    done = rdserve("objectives", "--server", in_process_service, *few)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "objectives.md").read_text()
    assert "digits (test, 60 of 400 images)" in page
    assert "](objectives.svg)" in page
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("objectives.md", "objectives.svg", "objectives.png"),
    }
