"""The document and the page of runs whose places are known."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from rdserve.compare.render import json_stream
from rdserve.study import published, results_page
from rdserve.study.categories import categorise
from rdserve.study.results import Study, document
from rdserve.study.subset import Examples
from rdserve.study.zoo_scores import ScoredModel, ScoredZoo
from studied import BLIND, N, run_at, runs_at

SCHEMA = json.loads((Path(__file__).parents[2] / "study/results.schema.json").read_text())
RUNS = [
    run_at(("---", 1.0, 28.0, 62.5)),
    run_at(("-+v", 1.0, 6.5, 74.5), annealed=True),
    run_at(("-+v", 0.1, 130.0, 8.0)),
]


def study_of(found: list[ScoredModel], name: str = published.DATA, **about: Any) -> Study:
    """Of runs as if on static MNIST, whole."""
    zoo = runs_at(found)
    dataset = replace(zoo.examples.dataset, name=name, sha256="0" * 64, x=zoo.examples.images)
    examples = Examples(dataset, np.arange(N))
    scored = {"test": ScoredZoo(examples, zoo.all, {"broken": "it made NaN"})}
    return Study(scored, {run.name: categorise(run, BLIND) for run in zoo.all}, examples, None, **about)


def written(study: Study) -> tuple[dict[str, Any], str]:
    """The document as it is read back, and the page."""
    found = document(study, "rdserve results")
    read: dict[str, Any] = json.loads("".join(json_stream.text(found)))
    jsonschema.validate(read, SCHEMA)
    return read, results_page.render(found)


def test_the_schema_is_one_and_refuses_what_is_not() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    read, _ = written(study_of(RUNS))
    del read["models"][0]["scores"]["test"]["seed"]
    with pytest.raises(jsonschema.ValidationError, match="'seed' is a required property"):
        jsonschema.validate(read, SCHEMA)


def test_the_papers_runs_stand_beside_the_zoos() -> None:
    read, text = written(study_of(RUNS))
    assert len(read["published"]) == len(published.PUBLISHED) == 25
    beside = {(one["paper"]["family"], one["paper"]["beta"]): one["model"] for one in read["published"]}
    assert beside["---", 1.0] == RUNS[0].name
    assert beside["+-v", 1.0] is None
    assert "| `-+v` β 1, annealed | section 4 | (6.2, 74.1) | 80.3 | (6.5, 74.5) | 81.0 |" in text
    swept = next(
        one
        for one in read["published"]
        if one["paper"]["where"] == "section 4" and one["paper"]["beta"] == 0.1
    )
    assert (swept["model"], swept["stand_in"]) == (RUNS[2].name, "not annealed")
    assert "| `+-v` β 1.1 | figure 6 | (24, 59.3) | 83.3 | not trained |" in text


def test_targets_and_misses_are_counted_and_shown() -> None:
    read, text = written(study_of(RUNS))
    outcomes = [target["outcome"] for target in read["targets"]]
    assert [outcomes.count(one) for one in ("met", "missed", "not trained")] == [2, 4, 13]
    assert "On the test split: 2 met, 4 missed, 13 not trained." in text
    measured = "R 130.00, D 8.00, size unknown; a stand-in: not annealed"
    assert f"| -+v at beta 0.1: R above 140 | R 156 | {measured} | **missed** |" in text
    assert "size unknown" in text


def test_a_card_tells_whether_a_model_is_of_the_papers_size() -> None:
    large = {RUNS[0].name: {"width": 1.0, "latent_dim": 64}}
    assert "90.50 (+3.40) | **missed**" in written(study_of(RUNS, architectures=large))[1]
    small = {RUNS[0].name: {"width": 0.25, "latent_dim": 64}}
    text = written(study_of(RUNS, architectures=small))[1]
    assert "(+3.40), smaller than the paper's | **missed**" in text


def test_every_model_says_how_it_was_trained_and_what_stands_in_is_marked() -> None:
    """The model of beta 0.1 went on from the annealed one, for two epochs."""
    annealed, warm = RUNS[1].name, RUNS[2].name
    training = {
        annealed: {"start": "", "epochs": 12, "annealing_epochs": 4},
        warm: {"start": annealed, "epochs": 2, "annealing_epochs": 0},
    }
    sizes = {name: {"width": 0.125, "latent_dim": 64} for name in training}
    read, text = written(study_of(RUNS, training=training, architectures=sizes))
    assert f"| `{warm}` | `-+v` | 0.1 | `{annealed}` | 2 | 0 | 0.125 |" in text
    assert f"| `{annealed}` | `-+v` | 1 | random | 12 | 4 | 0.125 |" in text
    assert f"| `{RUNS[0].name}` | `---` | 1 | – | – | 0 | – |" in text
    how = f"not annealed, started from {annealed}"
    assert {one["stand_in"] for one in read["published"] if one["model"] == warm} == {how}
    judged = [target["measured"] for target in read["targets"] if target["models"] == [warm]]
    assert judged
    assert all(measured.endswith(f"; a stand-in: {how}") for measured in judged)


def test_what_failed_and_how_categories_were_told_is_said() -> None:
    _, text = written(study_of(RUNS))
    assert "Left out: broken: it made NaN" in text
    assert "by R and D alone, for no labels are known" in text


def test_other_data_have_no_published_runs_beside_them() -> None:
    read, text = written(study_of(RUNS, name="digits"))
    assert read["published"] == []
    assert "## The paper's runs" not in text
    assert "19 not comparable" in text


def test_the_committed_page_is_that_of_the_committed_numbers() -> None:
    docs = Path(__file__).parents[2] / "docs"
    found = json.loads((docs / "results.json").read_text())
    jsonschema.validate(found, SCHEMA)
    assert results_page.render(found) == (docs / "results.md").read_text()
