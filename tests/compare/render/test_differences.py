from dataclasses import replace
from io import StringIO

import pytest
from points import CROWDED, comparison_at
from rdserve.compare.comparison import Comparison
from rdserve.compare.render.terminal import differences_table
from rdserve.compare.statistics.equivalence import same
from rich.console import Console


def printed(comparison: Comparison, **options: object) -> list[str]:
    file = StringIO()
    Console(width=100, file=file).print(differences_table(comparison.analysis, **options))  # type: ignore[arg-type]
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_differences_to_the_best() -> None:
    lines = printed(comparison_at([(5, 15), (5.3, 14.4), (9, 20)], n=400))
    assert lines[0].split()[:2] == ["minus", "m1"]
    assert lines[1].split() == [
        "m0",
        "−0.29",
        "±",
        "0.04",
        "+0.61",
        "±",
        "0.04",
        "+0.33",
        "±",
        "0.06",
        "20%",
        "<",
        "0.001",
        "worse",
    ]
    assert lines[2].split()[0] == "m2"
    assert lines[2].endswith("worse")


def test_differences_to_a_baseline() -> None:
    lines = printed(comparison_at([(5, 15), (5, 14), (5, 15)], n=400), baseline="m0")
    outcomes = {line.split()[0]: line.split()[-1] for line in lines[1:3]}
    assert outcomes == {"m1": "better", "m2": "open"}


def test_the_same_in_both() -> None:
    comparison = comparison_at([(5, 15), (5.01, 15), (5.4, 14.6), (5.1, 15)], n=400)
    lines = printed(comparison, baseline="m0", equivalence_margin=0.1)
    outcomes = {line.split()[0]: line.split()[-1] for line in lines[1:4]}
    assert outcomes == {"m1": "same", "m2": "other", "m3": "open"}
    assert "same: R and D both surely within 0.1 nats" in lines[-1]
    assert same(*comparison.scores[:1] * 2, margin=1e-9) == "equivalent"


@pytest.mark.parametrize("method", ["t", "sequential"])
def test_many_long_names_fit_a_hundred_columns(method: str) -> None:
    far = [(rate + 300, distortion + 1000) for rate, distortion in CROWDED]
    plain = comparison_at(far, n=100, noise=30)
    named = tuple(
        replace(info, name=f"a-name-that-goes-on-and-on-and-on-{info.name}") for info in plain.models
    )
    comparison = replace(plain, models=named, method=method, beta=0.15)  # type: ignore[arg-type]
    assert max(map(len, comparison.table().splitlines())) <= 100
    lines = printed(comparison)
    assert len({line.split()[0] for line in lines[1:18]}) == 17
