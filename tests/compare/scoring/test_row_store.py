import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdserve.client import InputError, Score
from rdserve.compare.scoring import row_store
from rdserve.compare.scoring.row_store import RowStore

FACTS = {"images_sha256": "a" * 64, "seed": 2**63, "n_samples": 1}
MODELS = {"one": "1" * 64, "two": "2" * 64}
N, CHUNK = 10, 4


def opened(folder: Path, models: dict[str, str] = MODELS, **facts: Any) -> RowStore:
    return RowStore(folder, FACTS | facts, models, n=N, chunk=CHUNK)


def score(rows: slice, *, exact: bool = True) -> Score:
    rate = np.arange(rows.start, rows.stop) + 0.5
    return Score(rate, 2 * rate, 3 * rate, 4 * rate, exact)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run whose model "one" has its first and its last chunk."""
    with opened(tmp_path / "rows") as store:
        for chunk in (0, 2):
            store.write("one", chunk, score(store.rows(chunk), exact=chunk == 0))
    return tmp_path / "rows"


def test_rows_are_found_again(folder: Path) -> None:
    with opened(folder) as store:
        assert store.missing("one").tolist() == [False, True, False]
        assert store.missing("two").all()
        store.write("one", 1, score(store.rows(1)))
        assert not store.missing("one").any()
        whole = store.score("one", N)
        assert not whole.rate_is_exact
        assert store.score("one", 5).rate_is_exact
    expected = score(slice(0, N))
    for name in row_store.COLUMNS:
        np.testing.assert_array_equal(getattr(whole, name), getattr(expected, name))
        np.testing.assert_array_equal(np.load(folder / "models/one" / f"{name}.npy"), getattr(expected, name))


def test_a_run_that_goes_on_began_when_its_rows_did(folder: Path) -> None:
    manifest = folder / row_store.MANIFEST
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(document | {"began": "2001-02-03T04:05:06+00:00"}))
    for models in (MODELS, MODELS | {"three": "3" * 64}):
        with opened(folder, models) as store:
            assert store.began == "2001-02-03T04:05:06+00:00"
    row_store.finish(folder)
    with opened(folder, seed=1) as store:
        assert store.began > document["began"][:4]
        assert json.loads(manifest.read_text())["began"] == store.began


@pytest.mark.parametrize("name", row_store.COLUMNS)
def test_a_chunk_that_does_not_add_up_is_not_done(folder: Path, name: str) -> None:
    column = np.load(folder / "models/one" / f"{name}.npy", mmap_mode="r+")
    column[9] += 1e-9
    with opened(folder) as store:
        assert store.missing("one").tolist() == [False, True, True]


def test_rows_without_their_mark_are_not_done(folder: Path) -> None:
    marks = np.load(folder / "models/one/done.npy", mmap_mode="r+")
    marks[0] = 0
    with opened(folder) as store:
        assert store.missing("one").tolist() == [True, True, False]


def test_a_chunk_has_all_its_rows(folder: Path) -> None:
    with opened(folder) as store, pytest.raises(ValueError, match="chunk 1 has 4 rows, got 3"):
        store.write("one", 1, score(slice(4, 7)))


@pytest.mark.parametrize(
    ("models", "facts", "message"),
    [
        (MODELS, {"seed": 7}, "seed is 9223372036854775808 there, 7 now"),
        (MODELS, {"images_sha256": "b" * 64}, f"images_sha256 is {'a' * 12} there, {'b' * 12} now"),
        (MODELS, {"new": 1}, "new is None there, 1 now"),
        (MODELS | {"two": "3" * 64}, {}, f"two: weights {'2' * 12} there, {'3' * 12} now"),
    ],
)
def test_another_run_is_refused_by_what_differs(
    folder: Path, models: dict[str, str], facts: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        opened(folder, models, **facts)
    assert "--restart" in str(caught.value)
    with opened(folder) as store:
        assert not store.missing("one").all()
    row_store.remove(folder)
    opened(folder, models, **facts).close()


def test_a_finished_run_makes_room_for_another_and_is_found_by_itself(folder: Path) -> None:
    row_store.finish(folder)
    with opened(folder) as store:
        assert store.missing("one").tolist() == [False, True, False]
    with pytest.raises(InputError, match="seed"):  # opened again, it is under way again
        opened(folder, seed=1)
    row_store.finish(folder)
    with opened(folder, {"one": "3" * 64}, seed=1) as store:
        assert store.missing("one").all()


def test_models_come_and_go(folder: Path) -> None:
    with opened(folder, {"two": MODELS["two"], "three": "3" * 64}) as store:
        assert store.missing("three").all()
    with opened(folder) as store:
        assert store.missing("one").tolist() == [False, True, False]
    assert list(json.loads((folder / "manifest.json").read_text())["models"]) == ["one", "two", "three"]


def test_a_start_that_was_cut_short_is_made_again(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with opened(folder) as store:
        assert store.missing("one").all()


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", '{"models": 3}'])
def test_what_is_no_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json is no manifest of rows"):
        opened(folder)


def test_one_run_at_a_time(folder: Path) -> None:
    with opened(folder):
        with pytest.raises(InputError, match="is being written by another run"):
            opened(folder)
        with pytest.raises(InputError, match="is being written by another run"):
            row_store.remove(folder)
    opened(folder).close()


@pytest.mark.parametrize("name", ["..", ".", "", "a/../../b", "/etc", "manifest.json", "e\x00"])
def test_no_name_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / "in/rows", {name: "", "...": ""}) as store:
        store.write(name, 1, score(store.rows(1)))
        assert store.missing("...").all()
        assert not store.missing(name)[1]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert {path.name for path in (tmp_path / "in/rows").iterdir()} == {"lock", "manifest.json", "models"}
    assert len(list((tmp_path / "in/rows/models").iterdir())) == 2


def test_the_hash_of_pixels_tells_them_apart_and_not_how_they_are_read() -> None:
    images = np.random.default_rng(0).random((10, 3, 3)) < 0.5

    def hashed(images: Any, size: int) -> str:
        return row_store.pixels_sha256(images, (slice(at, at + size) for at in range(0, 10, size)))

    assert hashed(images, 3) == hashed(images.astype(np.uint8), 10)
    assert len({hashed(each, 4) for each in (images, ~images, images[::-1], images.reshape(10, 9, 1))}) == 4
