"""Whatever a comparison's file says beside its per-example values, altered by hand, is named."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from drawn import pictures_of
from points import CROWDED, comparison_at
from rdserve.client.results import Score
from rdserve.compare.comparison import Comparison
from rdserve.compare.rebuilt import contradictions
from rdserve.compare.rebuilt_page import altered
from rdserve.compare.render import json_stream
from rdserve.compare.render.document import to_document
from rdserve.compare.render.html import report

Alter = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Four models with labels, two samples each; one surely beaten, and some with one family."""
    plain = comparison_at([*CROWDED[:3], (9.0, 30.0)], labels=True)
    rng = np.random.default_rng(1)
    scores = tuple(
        Score(s.rate_nats, s.distortion_nats, s.elbo_nats + rng.random(50), 1 + rng.random(50), False)
        for s in plain.scores
    )
    models = (
        *plain.models[:2],
        *(
            replace(info, family="---", beta=beta)
            for info, beta in zip(plain.models[2:], (1.0, 0.5), strict=True)
        ),
    )
    return replace(plain, scores=scores, models=models, n_samples=2)


@pytest.fixture
def document(comparison: Comparison) -> dict[str, Any]:
    read: dict[str, Any] = json.loads("".join(json_stream.text(to_document(comparison.analysis))))
    return read


def scaled(values: dict[str, Any], name: str, factor: float) -> None:
    values[name] *= factor


def swap(document: dict[str, Any]) -> None:
    pair = document["pairs"][0]
    pair["total"]["mean"] *= -1


TAMPERED: dict[str, tuple[Alter, str]] = {
    "a mean": (lambda d: scaled(d["models"][0], "rate_nats", 1.01), "models[m0].rate_nats is given as"),
    "a pair's sign": (swap, "pairs[m0, m1].total.mean"),
    "a p-value": (lambda d: d["pairs"][0]["total"].update(p_value=1e-9), "pairs[m0, m1].total.p_value"),
    "no pairs": (lambda d: d["pairs"].clear(), "pairs has 0 entries, its examples give 6"),
    "a standard error": (
        lambda d: d["models"][1].update(distortion_standard_error_nats=0.001),
        "models[m1].distortion_standard_error_nats is given as 0.001",
    ),
    "who is dominated": (
        lambda d: d["models"][-1].update(dominated_by=None),
        "dominated_by is given as null",
    ),
    "the frontier": (
        lambda d: d["models"][0].update(on_frontier=not d["models"][0]["on_frontier"]),
        "models[m0].on_frontier",
    ),
    "how many images": (lambda d: d["models"][0].update(n=500), "models[m0].n is given as 500"),
    "the best": (
        lambda d: scaled(d, "best_rate_plus_distortion_nats", 0.9),
        "best_rate_plus_distortion_nats is given as",
    ),
    "the seed": (lambda d: d.update(seed=1), "seed is given as 1, its examples give 0"),
    "a range of beta": (
        lambda d: d["pairs"][0]["preference"]["stretches"][0].update(answer="A or B"),
        "pairs[m0, m1].preference.stretches[0].answer",
    ),
    "a class": (
        lambda d: d["classes"]["models"][0]["adjusted_p"].__setitem__(0, 1e-5),
        "adjusted_p[0] is given as 1e-05",
    ),
    "a curve": (lambda d: scaled(d["curves"]["sweeps"][0]["excess"], "area", 0.5), "excess.area"),
    "a definition": (lambda d: d["definitions"].update(pairs="positive favours a"), "definitions.pairs"),
    "the signature": (
        lambda d: d.update(signature=d["signature"].replace("n:50", "n:500")),
        'signature[4] is given as "n:500", its examples give "n:50"',
    ),
    "a field of no schema": (lambda d: d.update(winner="m3"), "winner is no field"),
    "a field left out": (lambda d: d.pop("level"), "level is missing"),
    "a gap": (
        lambda d: scaled(d["models"][0]["tightness"], "gap_nats", 0.5),
        "models[m0].tightness.gap_nats",
    ),
    "effective samples": (
        lambda d: d["models"][0]["tightness"].update(few_effective_share=0.0),
        "models[m0].tightness.few_effective_share is given as 0",
    ),
    "what is identified": (
        lambda d: d["pairs"][0].update(identified=not d["pairs"][0]["identified"]),
        "pairs[m0, m1].identified",
    ),
    "a bound": (
        lambda d: scaled(d["models"][0], "importance_bound_nats", 0.99),
        "models[m0].importance_bound_nats",
    ),
}


def test_what_was_written_contradicts_nothing(document: dict[str, Any]) -> None:
    assert contradictions(document) == []


@pytest.mark.parametrize("what", TAMPERED)
def test_every_tampering_is_named(document: dict[str, Any], what: str) -> None:
    tamper, says = TAMPERED[what]
    tamper(document)
    assert any(says in line for line in contradictions(document)), contradictions(document)


def test_swapped_and_improved_rows_contradict_the_statistics(document: dict[str, Any]) -> None:
    """Means adjusted or kept, the rows are in standard errors, intervals and p-values."""
    values = document["examples"]["models"][1]["distortion_nats"]
    values[3], values[4] = values[4], values[3]
    assert contradictions(document)


def test_a_file_of_another_version_says_so_where_it_differs(document: dict[str, Any]) -> None:
    rest = document["signature"].split("|", 1)[1]
    document["signature"] = f"rdserve:0.0.1|{rest}"
    assert contradictions(document) == []
    document["seed"] = 3
    assert contradictions(document)[-1].startswith("rdserve 0.0.1 wrote it, this is ")


def test_of_many_the_first_are_named(document: dict[str, Any]) -> None:
    for pair in document["pairs"]:
        for name in ("rate", "distortion", "total", "weighted"):
            pair[name]["mean"] += 1
    assert contradictions(document)[-1] == "and 4 more"


def test_models_that_do_not_compare_are_not_passed_off_as_such(comparison: Comparison) -> None:
    other = replace(comparison.models[0], binarisation="random")
    mixed = replace(comparison, models=(other, *comparison.models[1:]))
    document = json.loads("".join(json_stream.text(to_document(mixed.analysis))))
    (line,) = contradictions(document)
    assert line.startswith('warnings: "not comparable: different binarisations')


PAGE = {
    "the verdict": ("is better than", "is worse than"),
    "a number of the table": ('data-value="', 'data-value="1'),
    "a number in words": ("nats lower", "nats higher"),
    "a level": ("95% interval", "99.9% interval"),
    "the script": ("const ", "let "),
    "the signature": ("|seed:0|", "|seed:1|"),
    "a rule of style": ("body {", ".verdict { display: none; } body {"),
    "a paragraph more": ("</h1>", "</h1><p>m1 wins.</p>"),
}


@pytest.fixture(scope="module")
def two(comparison: Comparison) -> Comparison:
    first = replace(comparison, models=comparison.models[::3], scores=comparison.scores[::3])
    return replace(first, warnings=("what to know",), failures={"m9": "it went away"})


@pytest.mark.parametrize("pictures", [False, True])
def test_a_page_is_what_its_data_give_with_pictures_or_without(two: Comparison, pictures: bool) -> None:
    drawn = replace(pictures_of(two), failures={"m8": "it was slow"}) if pictures else None
    assert altered(report.render(two.analysis, drawn), two) == []


@pytest.mark.parametrize("what", PAGE)
def test_a_page_that_says_otherwise_is_named(two: Comparison, what: str) -> None:
    html = report.render(two.analysis, pictures_of(two))
    here, there = PAGE[what]
    assert here in html
    assert altered(html.replace(here, there, 1), two)


def test_the_verdict_that_was_forged_is_quoted_beside_the_true_one(two: Comparison) -> None:
    html = report.render(two.analysis)
    (line,) = altered(html.replace("m0 is better than m3", "m3 is better than m0", 1), two)
    assert line.startswith("the page says 'm3 is better than m0")
    assert ", its data give 'm0 is better than m3" in line
