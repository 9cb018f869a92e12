from dataclasses import replace

import numpy as np
import pytest
from points import comparison_at
from rdserve.client.results import Score
from rdserve.compare.analysis.stopping import stopping_status
from rdserve.compare.comparison import Comparison
from rdserve.compare.render.formatting import listed
from rdserve.compare.render.verdict import verdict


def test_the_better_of_two() -> None:
    words = comparison_at([(5, 15), (5.3, 14.4)], n=400).verdict
    assert words.startswith(
        "m1 is better than m0: its R + D is 0.33 nats lower (95% interval 0.28 to 0.38), on 3"
    )
    assert "Its R is 0.29 nats higher and its D 0.61 nats lower." in words
    assert "m0 is better for beta above 2.46, m1 is better for beta below 1.88" in words
    assert "beta from 1.88 to 2.46 is open." in words


def test_two_that_are_not_told_apart() -> None:
    words = comparison_at([(5, 15), (5.3, 14.7)], n=400).verdict
    assert words.startswith("m1 and m0 are not told apart: R + D of m1 is 0.03 nats lower (95% interval ")
    assert "0.08 lower to 0.02 higher)" in words


def test_beta_decides() -> None:
    comparison = comparison_at([(5, 15), (5.3, 14.7)], n=400)
    assert "m1 is better than m0: its D + 0.5 R" in replace(comparison, beta=0.5).verdict
    assert "m0 is better than m1: its D + 2 R" in replace(comparison, beta=2.0).verdict


def test_lower_in_both_is_better_for_every_beta() -> None:
    words = comparison_at([(5, 15), (4, 14)], n=400).verdict
    assert "m1 is better for every beta." in words


def test_the_same_twice() -> None:
    comparison = comparison_at([(5, 15), (5, 15)])
    words = replace(comparison, scores=comparison.scores[:1] * 2).verdict
    assert "not told apart" in words
    assert "No beta decides between them on these images." in words


def test_one_model_alone() -> None:
    assert comparison_at([(5, 15)]).verdict.startswith("m0 alone: R = 5.13, D = 15.01, R + D = 20.14 nats")


def test_many() -> None:
    words = comparison_at([(1, 19), (5, 14), (9, 11), (6, 15.1)], n=400).verdict
    assert words.startswith(
        "Of 4 models on 400 images, m1 has the lowest R + D, 18.92 nats, surely lower than all"
    )
    assert "next is m2, 1.01 higher (95% interval" in words
    assert "Surely dominated, as another has both lower R and lower D: m3." in words
    assert "m0 for beta above 1.26, m1 for beta from 0.748 to 1.26 and m2 for beta below 0.748." in words


def test_a_winner_that_ignores_its_code_is_named_so() -> None:
    many = comparison_at([(0.02, 18), (5, 14), (0.03, 19)], n=400, noise=0.1).verdict
    assert many.startswith("Of 3 models on 400 images, m0 (ignores its code: R 0.02) has the lowest R + D")
    assert "m0 and m2 ignore the code: R below 0.1 nats." in many
    assert "Of those that use theirs, m1 has the lowest R + D, 18.99 nats." in many
    two = comparison_at([(0.02, 18), (5, 14)], n=400, noise=0.1).verdict
    assert two.startswith("m0 (ignores its code: R 0.02) is better than m1: ")
    assert comparison_at([(0.02, 18)], n=400, noise=0.1).verdict.startswith("m0 (ignores its code: R 0.02) ")


def test_a_winner_that_uses_its_code_has_no_mark() -> None:
    words = comparison_at([(0.02, 19), (5, 13), (0.03, 20)], n=400, noise=0.1).verdict
    assert words.startswith("Of 3 models on 400 images, m1 has the lowest R + D")
    assert "m0 and m2 ignore the code" in words
    assert "Of those that use theirs" not in words


def test_a_leader_that_is_not_sure() -> None:
    words = comparison_at([(5, 15), (5, 15.001), (9, 20)], n=400).verdict
    assert "surely lower than 1 of the others, but not told apart from m" in words


def test_against_a_baseline() -> None:
    analysis = comparison_at([(5, 15), (5, 14), (5, 16), (5, 15)], n=400).analysis
    assert verdict(analysis, "m0") == (
        "Against m0, by R + D on 400 images: surely better is m1; surely worse is m2; not told apart is m3. "
        "This is of these checkpoints: other runs of their recipes may differ otherwise."
    )


@pytest.mark.parametrize("points", [[(5, 15)], [(5, 15), (6, 14)], [(5, 15), (6, 14), (7, 13)]])
def test_warnings_and_failures_are_in_every_verdict(points: list[tuple[float, float]]) -> None:
    comparison = replace(
        comparison_at(points), warnings=("not comparable: x",), failures={"m9": "no weights"}
    )
    assert "Warning: not comparable: x." in comparison.verdict
    assert "No scores came from m9." in comparison.verdict


def loose(comparison: Comparison) -> Comparison:
    """As if eight samples had shown a gap of one nat."""

    def widened(score: Score) -> Score:
        return replace(
            score, importance_bound_nats=score.elbo_nats + 1, importance_ess=np.full(comparison.n, 4.0)
        )

    return replace(comparison, n_samples=8, scores=tuple(map(widened, comparison.scores)))


def test_a_difference_below_the_gap_is_marked() -> None:
    small, large = (loose(comparison_at([(5, 15), (5, 15 - by)], n=400)) for by in (0.3, 3.0))
    assert "is not identified" in small.verdict
    assert "is not identified" not in large.verdict
    assert [pair.identified for pair in (*small.pairs, *large.pairs)] == [False, True]


def test_of_many_those_within_the_gap_of_the_best_are_named() -> None:
    near = loose(comparison_at([(5, 15), (5, 14.7), (5, 14.5), (5, 30)], n=400))
    assert near.analysis.unidentified == ("m0", "m1")
    said = "The ELBO of m2 exceeds that of m0 and m1 by less than the gap of the bounds"
    assert said in near.verdict
    assert said not in replace(near, n_samples=1).verdict


def test_sequential_says_what_it_would_take() -> None:
    comparison = replace(comparison_at([(5, 15), (5.3, 14.69)], n=400), method="sequential")
    found = stopping_status(comparison.analysis)
    assert not found.settled
    assert found.more_needed is not None
    assert f"Open after 400 images: m0 against m1; some {found.more_needed} more" in comparison.verdict
    assert stopping_status(comparison.analysis, equivalence_margin=0.5).settled
    assert stopping_status(replace(comparison, beta=0.1).analysis).settled
    assert "Settled after 400 images." in replace(comparison, beta=0.1).verdict


def test_a_race_waits_for_the_leader_only() -> None:
    comparison = replace(comparison_at([(5, 13), (5, 15), (5, 15)], n=400), method="sequential")
    assert stopping_status(comparison.analysis).settled
    assert stopping_status(comparison.analysis, baseline="m1").open == (("m2", "m1"),)
    assert stopping_status(comparison_at([(5, 15)]).analysis).settled


def test_the_same_model_twice_never_settles() -> None:
    comparison = comparison_at([(5, 15), (5, 15)], n=400)
    same = replace(comparison, scores=comparison.scores[:1] * 2, method="sequential")
    assert stopping_status(same.analysis).more_needed is None
    assert "no number of images would settle it" in same.verdict
    assert stopping_status(same.analysis, equivalence_margin=1e-9).settled


def test_lists() -> None:
    assert [listed(list("abcde"[:k])) for k in (1, 2, 3, 5)] == [
        "a",
        "a and b",
        "a, b and c",
        "a, b, c and 2 more",
    ]
