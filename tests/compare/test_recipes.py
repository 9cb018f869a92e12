"""Recipes: which models are runs of one, and what is said of them over runs and images."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from drawn import pictures_of
from numpy.typing import NDArray
from points import comparison_of
from rdserve.client.errors import InputError
from rdserve.compare.analysis.caution import cautions
from rdserve.compare.analysis.levels import level_of_classes, level_of_pairs, level_of_recipes
from rdserve.compare.analysis.recipe_groups import check_runs, group
from rdserve.compare.analysis.recipes import Recipes, compared
from rdserve.compare.comparison import Comparison
from rdserve.compare.rebuilt import contradictions
from rdserve.compare.rebuilt_page import altered
from rdserve.compare.render import json_stream
from rdserve.compare.render.document import to_document
from rdserve.compare.render.html import report
from rdserve.compare.render.verdict import answer
from scipy import stats

Float64 = NDArray[np.float64]

# binomial(200, 0.05) exceeds it once in 200.
SIMULATED, MOST_WRONG = 200, 18


def runs_of(
    rng: np.random.Generator,
    means: Sequence[tuple[float, float]],
    runs: Sequence[int],
    *,
    n: int = 60,
    between: float = 0.2,
    rest: float = 0.5,
) -> Float64:
    """(M, 2, n): runs of recipes at these (R, D), `between` nats apart, on images that are hard for all."""
    hard = rng.normal(size=(2, n))
    of = [
        np.array(at)[:, None]
        + hard * (1 + 0.3 * index)
        + between * rng.normal(size=(k, 2, 1))
        + rest * rng.normal(size=(k, 2, n))
        for index, (at, k) in enumerate(zip(means, runs, strict=True))
    ]
    return np.concatenate(of)


def by_recipe(values: Float64, runs: Sequence[int], **changes: object) -> Comparison:
    """Recipes a, b, ... whose runs are a-s0, a-s1, ..."""
    plain = comparison_of(values)
    places = [(at, seed) for at, k in enumerate(runs) for seed in range(k)]
    models = tuple(
        replace(
            info,
            name=f"{chr(97 + at)}-s{seed}",
            recipe={"epochs": str(60 * (at + 1)), "width": "1"},
            training_seed=seed,
            weights_sha256=f"{at}{seed}",
        )
        for info, (at, seed) in zip(plain.models, places, strict=True)
    )
    return replace(plain, **{"models": models, "by": "recipe", **changes})  # type: ignore[arg-type]


def found(comparison: Comparison) -> Recipes:
    assert comparison.analysis.recipes is not None
    return comparison.analysis.recipes


AT = [(5.0, 15.0), (5.6, 13.0), (8.0, 20.0)]


@pytest.fixture(scope="module")
def three() -> Comparison:
    """Recipes of 3, 4 and 1 runs, the first two surely apart."""
    return by_recipe(runs_of(np.random.default_rng(0), AT, (3, 4, 1)), (3, 4, 1))


def document_of(comparison: Comparison) -> dict[str, object]:
    read: dict[str, object] = json.loads("".join(json_stream.text(to_document(comparison.analysis))))
    return read


@pytest.mark.parametrize("runs", [(3, 3), (3, 8)])
@pytest.mark.parametrize("between", [0.3, 0.05])
def test_of_equal_recipes_nothing_is_sure_in_more_than_five_percent(
    runs: tuple[int, int], between: float
) -> None:
    """Taken for the recipes, the runs that there are differ surely in a third of cases."""
    rng = np.random.default_rng([*runs, int(100 * between)])
    wrong, alone, fixed = 0, 0, 0
    for _ in range(SIMULATED):
        scored = by_recipe(runs_of(rng, [(5, 15), (5, 15)], runs, between=between), runs)
        (pair,) = compared(scored).pairs
        wrong += any(one.sign != 0 for one in (pair.rate, pair.distortion, pair.weighted))
        alone += pair.total.interval.sign != 0
        fixed += abs(pair.total.mean) > 2 * pair.total.from_images
    assert wrong <= MOST_WRONG
    assert alone <= MOST_WRONG
    assert fixed > 50 or between < 0.3


def test_runs_alone_are_welchs_test() -> None:
    """Where images add nothing, with as many runs of each: scipy's, at the seen variances."""
    rng = np.random.default_rng(1)
    values = runs_of(rng, AT[:2], (4, 4)).mean(-1, keepdims=True).repeat(60, axis=-1)
    (pair,) = found(by_recipe(values, (4, 4))).pairs
    means = values.mean(-1)[:, 0]
    welch = stats.ttest_ind(means[:4], means[4:], equal_var=False)
    assert pair.rate.p_value == pytest.approx(welch.pvalue)
    assert pair.rate.degrees_of_freedom == pytest.approx(welch.df)
    assert tuple(pair.rate.interval) == pytest.approx(tuple(welch.confidence_interval(0.95)))
    assert pair.rate.from_images == pytest.approx(0, abs=1e-9)


def test_images_alone_are_the_paired_test() -> None:
    """Where runs do not differ at all."""
    one = np.random.default_rng(2).normal(size=(2, 2, 60))
    (pair,) = found(by_recipe(np.repeat(one, 3, axis=0), (3, 3))).pairs
    paired = stats.ttest_rel(one[0, 0], one[1, 0])
    assert pair.rate.from_runs == pytest.approx(0, abs=1e-9)
    assert pair.rate.p_value == pytest.approx(paired.pvalue)
    assert pair.rate.degrees_of_freedom == pytest.approx(59)


def test_equal_to_the_last_digit_is_no_difference() -> None:
    (pair,) = found(by_recipe(np.full((6, 2, 40), 3.0), (3, 3))).pairs
    assert (pair.rate.mean, pair.rate.standard_error, tuple(pair.rate.together)) == (0, 0, (0, 0))
    assert pair.rate.p_value == 1


def test_what_varies_between_runs_is_told_apart_from_what_images_add() -> None:
    rng = np.random.default_rng(3)
    apart = []
    for between in (0.0, 0.5):
        values = runs_of(rng, AT[:1], (200,), n=30, between=between, rest=2.0)
        (row,) = found(by_recipe(values, (200,))).rows
        apart.append(row.between_runs)
    assert max(apart[0][:2]) < 0.2  # of 2 / sqrt(30) = 0.37 that these images make of it
    assert apart[1][:2] == pytest.approx((0.5, 0.5), abs=0.1)


def test_few_runs_of_one_give_no_more_degrees_of_freedom_than_they_have() -> None:
    """Two that happen to agree against ten: not ten's nine."""
    rng = np.random.default_rng(4)
    values = runs_of(rng, AT[:2], (2, 10), between=1.0, rest=0.0)
    values[1] = values[0] + 1e-3
    (pair,) = found(by_recipe(values, (2, 10))).pairs
    assert pair.rate.degrees_of_freedom < 5


def test_a_recipe_with_one_run_has_no_interval(three: Comparison) -> None:
    recipes = found(three)
    assert recipes.single == ("c-s0",)
    for pair in recipes.against("c-s0"):
        assert not pair.told
        assert (pair.weighted.sign, tuple(pair.weighted.together)) == (0, (-np.inf, np.inf))
        assert np.isnan(pair.adjusted_p)
    assert found(three).of("b-s3") == "b"
    assert recipes.best.recipe.name == "b"


def test_a_pair_turned_is_the_pair_seen_from_b(three: Comparison) -> None:
    pair = found(three).told[0]
    assert pair.turned.turned == pair
    assert pair.turned.distortion.sign == -pair.distortion.sign != 0


def test_recipes_have_the_greater_part_of_all_error(three: Comparison) -> None:
    """All of it is divided, none given twice."""
    labelled = replace(three, labels=np.arange(60) % 2)
    shares = [1 - level(labelled) for level in (level_of_recipes, level_of_pairs, level_of_classes)]
    assert shares == pytest.approx([0.04, 0.008, 0.002])
    assert level_of_pairs(replace(labelled, by="model")) == pytest.approx(0.96)


def test_the_verdict_is_of_recipes_and_names_single_runs(three: Comparison) -> None:
    words = answer(three.analysis)
    assert words.startswith("Recipe b (4 runs) is better than a (3 runs): over runs and images its R + D is ")
    assert "degrees of freedom" in words
    assert words.endswith("c-s0 has one run: what is said of it is of this checkpoint.")
    assert "checkpoints" in answer(replace(three, by="model").analysis)
    assert "(--by recipe compares recipes)" in answer(replace(three, by="model").analysis)


def test_the_verdict_of_many_recipes_is_against_the_best_or_the_baselines() -> None:
    at = [*AT[:2], (5.0, 15.05), (9.0, 22.0)]
    comparison = by_recipe(runs_of(np.random.default_rng(5), at, (3, 4, 3, 3)), (3, 4, 3, 3))
    words = answer(comparison.analysis)
    assert words.startswith("Of 4 recipes with 13 runs on 60 images, b has the lowest R + D, ")
    assert "surely worse are a, c and d" in words
    words = answer(comparison.analysis, "c-s1")
    assert "against c, by R + D: surely better is b; surely worse is d; not told apart is a." in words


def test_with_one_run_a_recipe_all_is_of_these_checkpoints(three: Comparison) -> None:
    values = runs_of(np.random.default_rng(0), AT[:2], (1, 1))
    comparison = by_recipe(values, (1, 1))
    assert "This is of these checkpoints" in answer(comparison.analysis)
    (warning,) = cautions(comparison, comparison.pairs)
    assert warning.startswith("no two recipes have two runs or more")
    assert level_of_pairs(comparison) == 0.95
    assert "runs apart" not in comparison.table()
    assert 'id="recipes"' not in report.render(comparison.analysis)
    assert not any("recipe" in warning for warning in cautions(three, three.pairs))


def test_two_runs_carry_a_warning() -> None:
    comparison = by_recipe(runs_of(np.random.default_rng(0), AT[:2], (2, 4)), (2, 4))
    (warning,) = cautions(comparison, comparison.pairs)
    assert warning.startswith("a: 2 runs alone")


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (("mmm-b1.0-s0", "mmm-b1.0-s1"), "mmm-b1.0"),
        (("mmm-b1.0", "mmm-b1.0-s1"), "mmm-b1.0"),
        (("run10", "run11"), "run"),
        (("vae seed 1", "vae seed 20"), "vae"),
        (("left", "right"), "left"),
        (("alone-s0",), "alone-s0"),
    ],
)
def test_a_recipe_is_called_what_its_runs_have_in_common(names: tuple[str, ...], called: str) -> None:
    model = comparison_of(np.zeros((1, 2, 3))).models[0]
    (one,) = group([replace(model, name=name, recipe={"epochs": "60"}) for name in names])
    assert (one.name, one.models) == (called, names)


def test_names_of_recipes_are_apart_and_say_in_what_they_differ(three: Comparison) -> None:
    model = three.models[0]
    runs = [("m-s0", "1"), ("m-s1", "2"), ("m-s2", "1"), ("m-s3", "2")]
    recipes = group([replace(model, name=name, recipe={"a": a, "b": "0"}) for name, a in runs])
    assert [one.name for one in recipes] == ["m-s0", "m-s1"]
    assert [one.facts for one in recipes] == [(("a", "1"),), (("a", "2"),)]
    unknown = group([replace(model, name=name, recipe={}) for name in "xy"])
    assert [one.models for one in unknown] == [("x",), ("y",)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"training_seed": 0}, "a-s0 and a-s1 are one run, of one recipe and seed 0"),
        ({"weights_sha256": "00"}, "a-s0 and a-s1 are one run, of one recipe and weights 00"),
        ({"weights_sha256": "00", "training_seed": None}, "one recipe and weights 00"),
    ],
)
def test_one_run_does_not_count_twice(three: Comparison, change: dict[str, object], says: str) -> None:
    first, second, *rest = three.models
    with pytest.raises(InputError, match=says):
        check_runs([first, replace(second, **change), *rest])  # type: ignore[arg-type]
    check_runs(three.models)


def test_recipes_do_not_stop_on_what_they_see(three: Comparison) -> None:
    with pytest.raises(InputError, match="fixed beforehand"):
        replace(three, method="sequential")


def test_all_of_it_is_built_again_from_the_rows(three: Comparison) -> None:
    document = document_of(three)
    assert contradictions(document) == []
    document["recipes"]["pairs"][0]["rate"]["from_runs"] *= 0.5  # type: ignore[index]
    assert any("recipes.pairs[a, b].rate.from_runs" in line for line in contradictions(document))
    html = report.render(three.analysis, pictures_of(three))
    assert altered(html, three) == []
    assert altered(html.replace("<small>epochs 60</small>", "<small>epochs 600</small>"), three)


@pytest.mark.parametrize("width", [80, 100])
def test_the_terminal_shows_recipes_within_its_width(three: Comparison, width: int) -> None:
    lines = three.table(width).splitlines()
    assert max(map(len, lines)) <= width
    (best,) = (line for line in lines if line.startswith("a  ") and line.endswith("worse"))
    assert re.fullmatch(r"a +−\d\.\d\d ± \d\.\d\d +\+\d\.\d\d ± .* worse", best)
    assert any(line.startswith("c-s0") and line.rstrip().endswith("one run") for line in lines)
