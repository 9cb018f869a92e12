import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import pictures_of
from points import CROWDED, comparison_at
from rdserve.client.errors import InputError
from rdserve.compare.analysis import analysis as analysis_of
from rdserve.compare.analysis.pairs import Pairs
from rdserve.compare.export import write_all
from rdserve.compare.render.json_stream import text
from rdserve.compare.render.terminal import show
from rdserve.compare.score_document import from_document, to_document
from rdserve.compare.scores import ScoreSet, images_sha256
from rich.console import Console


def test_a_document_holds_all_to_the_last_digit() -> None:
    comparison = comparison_at([(1, 20), (5, 14)], n=30, labels=True)
    back = from_document(json.loads("".join(text(to_document(comparison)))))
    assert back.models == comparison.models
    assert back.data == comparison.data
    assert "".join(text(to_document(back))) == "".join(text(to_document(comparison)))
    for got, gave in zip(back.scores, comparison.scores, strict=True):
        np.testing.assert_array_equal(got.elbo_nats, gave.elbo_nats)


@pytest.mark.parametrize("change", [{"schema": "other/1"}, {"models": [{}]}, {"seed": None}])
def test_another_document_is_refused(change: dict[str, object]) -> None:
    document = to_document(comparison_at([(1, 20)])) | change
    with pytest.raises(InputError, match="rdserve-comparison-data/1"):
        from_document(document)


@pytest.mark.parametrize("n", [1, 4096, 9001])
def test_images_are_named_by_all_their_pixels(n: int, tmp_path: Path) -> None:
    images = np.random.default_rng(n).random((n, 3, 5)) < 0.5
    np.save(tmp_path / "x.npy", images)
    whole = hashlib.sha256(np.packbits(images).tobytes()).hexdigest()
    assert images_sha256(np.load(tmp_path / "x.npy", mmap_mode="r")) == whole


def test_arrays_must_agree() -> None:
    comparison = comparison_at([(1, 20), (5, 14)], n=30)
    with pytest.raises(InputError, match=r"29 example ids, but .*30"):
        replace(comparison, example_ids=comparison.example_ids[:-1])
    with pytest.raises(InputError, match="each model once"):
        replace(comparison, models=comparison.models[:1] * 2)
    with pytest.raises(InputError, match="no model 'x'"):
        comparison.score("x")


ONCE = {
    "rdserve.compare.analysis.analysis": (
        "pairs",
        "leader",
        "by_class",
        "summarise",
        "dominated",
        "signature",
    ),
    "rdserve.compare.analysis.pairs": ("contrasts", "preferences", "holm"),
    "rdserve.compare.analysis.by_class": ("holm",),
}


def test_all_outputs_read_one_computation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: Counter[str] = Counter()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            counts[name] += 1
            return function(*args, **options)

        return call

    for module, names in ONCE.items():
        for name in names:
            function = getattr(import_module(module), name)
            monkeypatch.setattr(f"{module}.{name}", counted(f"{module}.{name}", function))
    comparison = comparison_at(CROWDED, labels=True)
    write_all(comparison.analysis, pictures_of(comparison), tmp_path)
    show(comparison.analysis, Console(file=StringIO(), width=100))
    assert comparison.verdict
    assert comparison.table()
    # Holm adjusts three families of tests: R + D and D + beta R of all pairs, and the classes.
    twice = {"rdserve.compare.analysis.pairs.holm": 2}
    assert dict(counts) == {
        f"{module}.{name}": twice.get(f"{module}.{name}", 1)
        for module, names in ONCE.items()
        for name in names
    }


def test_a_baseline_is_one_computation_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    real = analysis_of.pairs

    def pairs(scored: ScoreSet, *, baseline: str | None = None) -> Pairs:
        asked.append(baseline)
        return real(scored, baseline=baseline)

    monkeypatch.setattr(analysis_of, "pairs", pairs)
    comparison = replace(comparison_at(CROWDED[:4], labels=True), method="sequential")
    for _ in range(2):
        show(comparison.analysis, Console(file=StringIO(), width=100), baseline="m1")
    assert asked == ["m1"]
