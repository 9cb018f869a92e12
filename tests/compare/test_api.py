"""The Python side of a comparison against a real service over two trained models of the digits zoo."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from front import Front
from rdserve.client import Client, InputError
from rdserve.compare.api import Stop, compare, default_samples
from rdserve.compare.scores import ScoredData
from rdserve.compare.statistics.intervals import interval, limits
from rdserve.data import load

pytestmark = pytest.mark.service

ZOO = Path(__file__).parents[2] / "zoo/digits"
# They differ in the marginal: 1 nat of D, known from 1797 images to 0.08.
MODELS = ["digits-mmm-b1.0", "digits-mmp-b1.0"]
TEST = load("digits", split="test")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("zoo")
    for name in MODELS:
        shutil.copytree(ZOO / name, folder / name)
    running = Front(folder)
    yield running.address
    running.stop()


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


def test_five_lines(client: Client, tmp_path: Path) -> None:
    comparison = compare(client, MODELS, TEST.images[:60], labels=TEST.labels[:60])  # type: ignore[index]
    assert comparison.names == tuple(MODELS)
    assert "R + D" in comparison.table()
    assert comparison.verdict in " ".join(comparison.table().split())
    assert comparison.figure().axes
    assert "<html" in comparison.report(tmp_path / "report.html").read_text()
    frame = comparison.to_frame()
    assert len(frame) == 120
    means = frame.groupby("model")["distortion_nats"].mean()
    assert means[MODELS[0]] == pytest.approx(comparison.scores[0].distortion_nats.mean())
    assert (frame["label"][:60] == TEST.labels[:60]).all()  # type: ignore[index]


def test_what_the_numbers_depend_on_is_kept(client: Client) -> None:
    about = ScoredData("digits", "test", TEST.sha256)
    named = compare(client, MODELS, TEST.images[:100], data=about, seed=3, n_samples=2, level=0.9, beta=0.5)
    assert (named.data, named.seed, named.n_samples, named.level, named.beta) == (about, 3, 2, 0.9, 0.5)
    assert named.pairs[0].weighted.level == 0.9
    assert named.warnings == ()
    alone = client.score(MODELS[1], TEST.images[:100], seed=3, n_samples=2)
    np.testing.assert_allclose(named.scores[1].distortion_nats, alone.distortion_nats, rtol=1e-6)
    unnamed = compare(client, MODELS, TEST.images[:20])
    assert unnamed.warnings == ("only 20 images: below 30, intervals and p-values are no more than a guess",)
    assert "Warning: only 20 images" in unnamed.verdict
    assert (unnamed.data.name, len(unnamed.data.sha256)) == ("images", 64)


def test_stopping_early_scores_as_scoring_all(client: Client) -> None:
    """The same image has the same noise wherever it comes in the random order."""
    whole = compare(client, MODELS, TEST.images)
    early = compare(client, MODELS, TEST.images, labels=TEST.labels, stop=Stop(chunk=50), beta=3.0)
    assert 300 <= early.n < 400
    assert early.pairs[0].weighted.sign == 1
    for some, all_ in zip(early.scores, whole.scores, strict=True):
        rows = early.example_ids.astype(np.int64)
        np.testing.assert_allclose(some.rate_nats, all_.rate_nats[rows], rtol=1e-5)
        np.testing.assert_allclose(some.distortion_nats, all_.distortion_nats[rows], rtol=1e-5)
    assert early.labels is not None
    assert (early.labels == TEST.labels[early.example_ids.astype(np.int64)]).all()  # type: ignore[index]


def test_stopping_looks_at_whole_groups(client: Client) -> None:
    names = np.array([f"writer {i if i < 340 else 340 + i // 2}" for i in range(400)])
    early = compare(client, MODELS, TEST.images, group_ids=names, stop=Stop(chunk=50), beta=3.0)
    seen = names[early.example_ids.astype(np.int64)]
    rest = set(names) - set(seen)
    assert sum(name in rest for name in names) == 400 - early.n
    assert early.group_ids is not None
    assert len(set(zip(seen.tolist(), early.group_ids.tolist(), strict=True))) == early.n_groups
    assert 1 + np.count_nonzero(np.diff(early.group_ids)) == early.n_groups
    assert (early.to_frame()["group"][: early.n] == early.group_ids).all()


def test_pairing_and_shared_noise_see_what_means_hide(client: Client) -> None:
    """Of eleven sets of 150 images, unpaired intervals see the difference in four, paired ones in all."""
    images = np.concatenate([load("digits", split=split).images for split in ("train", "valid", "test")])
    a = client.score(MODELS[0], images, seed=0).distortion_nats
    shared, independent = (client.score(MODELS[1], images, seed=seed).distortion_nats for seed in (0, 1))
    sets = [slice(start, start + 150) for start in range(0, len(images) - 149, 150)]

    def seen(paired: bool) -> float:
        return float(np.mean([_sees(a[part], shared[part], paired) for part in sets]))

    assert seen(paired=True) == 1.0
    assert seen(paired=False) < 0.6
    width = [np.subtract(*limits(d, 0.95)) for d in (a - shared, a - independent)]
    assert abs(width[0]) < 0.95 * abs(width[1])
    assert abs(width[1]) < 0.6 * 2 * 1.96 * ((a.var() + shared.var()) / len(images)) ** 0.5


def _sees(a: np.ndarray, b: np.ndarray, paired: bool) -> bool:  # type: ignore[type-arg]
    if paired:
        return interval(a - b, 0.95).sign != 0
    return bool(abs(a.mean() - b.mean()) > 1.96 * ((a.var() + b.var()) / len(a)) ** 0.5)


def test_samples_that_nobody_asked_for_are_as_many_as_images_allow(client: Client) -> None:
    """Two at least: one shows no gap between the bounds, so that nothing could be identified."""
    assert [default_samples(n) for n in (1, 1000, 1001, 1334, 2001, 10**6)] == [8, 8, 6, 4, 2, 2]
    found = compare(client, MODELS, TEST.images[:5])
    assert found.n_samples == 8
    assert {pair.identified for pair in found.pairs} <= {True, False}


def test_mistakes(client: Client) -> None:
    images = TEST.images[:2]
    with pytest.raises(InputError, match="not served: nope; there are: digits-mmm"):
        compare(client, ["nope"], images)
    with pytest.raises(InputError, match="no model to compare"):
        compare(client, [], images)
    with pytest.raises(InputError, match="takes 8x8 images, the data has 8x7"):
        compare(client, MODELS, images[:, :, 1:])
    with pytest.raises(InputError, match="level lies between 0 and 1"):
        compare(client, MODELS, images, level=95)
    with pytest.raises(InputError, match="one label per image"):
        compare(client, MODELS, images, labels=[1])
    with pytest.raises(InputError, match=r"one group id per image: 2 images, group ids of shape \(3,\)"):
        compare(client, MODELS, images, group_ids=["a", "b", "c"])
    with pytest.raises(InputError, match="fixed beforehand"):
        compare(client, MODELS, images, by="recipe", stop=Stop())
    with pytest.raises(InputError, match="baseline 'x' is none of"):
        compare(client, MODELS, images, stop=Stop(baseline="x"))


def test_the_example(address: str, tmp_path: Path) -> None:
    example = ZOO.parents[1] / "examples/compare_in_python.py"
    done = subprocess.run(
        [sys.executable, example, address], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").exists()
    assert "R + D of digits-mmm-b1.0 minus digits-mmp-b1.0" in done.stdout
    assert "digit 9: ELBO" in done.stdout
