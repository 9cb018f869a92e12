import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from points import comparison_at
from rdserve.client.errors import InputError
from rdserve.compare.render.json_stream import text
from rdserve.compare.score_document import from_document, to_document
from rdserve.compare.scores import images_sha256


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
