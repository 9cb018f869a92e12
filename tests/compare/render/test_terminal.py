from dataclasses import replace
from io import StringIO

import pytest
from points import CROWDED, MODEL, rows_at
from rdserve.compare.render import terminal
from rdserve.compare.statistics.bound_gap import Tightness
from rdserve.compare.statistics.summaries import Mean
from rich.console import Console
from rich.table import Table


def lines(table: Table) -> list[str]:
    console = Console(file=StringIO(), width=terminal.WIDTH)
    console.print(table)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("prefix", ["m", "a-model-with-a-name-that-goes-on-and-on-and-on-"])
def test_eighteen_models_fit_a_hundred_columns(prefix: str) -> None:
    far = [(rate + 300, distortion + 1000) for rate, distortion in CROWDED]
    rows = rows_at(far, prefix=prefix)
    gaps = {row.name: gap(123.45, thin=0.9) for row in rows}
    assert max(map(len, lines(terminal.comparison_table(rows, gaps=gaps)))) <= 100
    printed = lines(terminal.comparison_table(rows))
    assert max(map(len, printed)) <= 100
    body = printed[1 : 1 + len(rows)]
    for row, line in zip(rows, body, strict=True):
        assert row.family in line
        assert f"{row.rate_nats:.2f} ± {row.rate_standard_error_nats:.2f}" in line
        assert f"{row.distortion_nats:.2f} ± {row.distortion_standard_error_nats:.2f}" in line
        assert f"{-row.elbo_nats:.2f} ± {row.elbo_standard_error_nats:.2f}" in line
        assert ("●" in line) == row.on_frontier


def gap(nats: float, thin: float) -> Tightness:
    """Of eight samples."""
    none = Mean(0.0, 0.0)
    return Tightness(8, none, none, Mean(nats, 0.01), 1.5, thin)


def test_gaps_stand_beside_the_elbo_with_a_mark_where_few_samples_carry_them() -> None:
    rows = rows_at([(5, 14), (9, 12)])
    printed = lines(terminal.comparison_table(rows, gaps={"m0": gap(0.41, 0.1), "m1": gap(1.73, 0.8)}))
    assert " 0.41  " in printed[1]
    assert " 1.73! " in printed[2]
    caption = " ".join(" ".join(printed[3:]).split())
    assert "log p(x) lies at least so far above the ELBO, by the bound of 8 samples" in caption
    assert (
        "! fewer than 2 of these are effective on most images; more of --n-samples would widen it" in caption
    )
    assert "!" not in "".join(lines(terminal.comparison_table(rows[:1], gaps={"m0": gap(0.41, 0.1)})))
    assert "gap" not in "".join(lines(terminal.comparison_table(rows)))


def test_names_in_brackets_are_not_markup() -> None:
    assert "[bold]" in lines(terminal.models_table([replace(MODEL, name="[bold]")]))[1]


def test_a_model_that_does_not_serve_says_why() -> None:
    broken = replace(MODEL, state="FAILED", state_reason="the weights do not match")
    assert "failed: the weights" in " ".join(lines(terminal.models_table([broken])))


def test_a_model_that_ignores_its_code_has_a_dagger_and_no_rate_a_minus_zero() -> None:
    low, high = rows_at([(0, 18), (5, 14)])
    printed = lines(terminal.comparison_table([replace(low, rate_nats=-0.001), high]))
    assert "m0 † " in printed[1]
    assert " 0.00 ± " in printed[1]
    assert "†" not in printed[2]
    assert printed[-1].startswith("† ignores its code: R below 0.1 nats")
    assert "†" not in "".join(lines(terminal.comparison_table([high])))


def test_one_example_has_no_error() -> None:
    assert terminal.with_error(1.234, float("nan")) == "1.23"
    assert terminal.with_error(1.234, 0.005) == "1.23 ± 0.01"


def test_a_mean_that_rounds_to_nothing_has_no_sign() -> None:
    assert terminal.with_error(-0.001, 0.02) == "0.00 ± 0.02"
