"""Own binary images of any height and width: trained, verified, served, compared; other data are refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from front import Front
from rdserve.cli.exits import Code
from rdserve.data import SPLITS, load
from rdserve.models.card import Card, read_card
from rdserve.trainer import ConfigError, configure, train
from rdserve.trainer.progress import TrainingProgress
from rdserve.trainer.recipe import read_recipe
from shell import rdserve

pytestmark = pytest.mark.slow

TINY = ("--epochs", "1", "--batch-size", "50", "--width", "0.05", "--latent-dim", "4", "--pseudo-inputs", "3")
FAMILIES = {"one": "---", "two": "++v"}


def grey_strips(path: Path, n: int = 60) -> Path:
    """A .npz of grey images 6 x 11."""
    grey = {split: load("digits-grey", split=split).x[:n] for split in SPLITS}
    np.savez(path, **{split: np.concatenate([x, x[..., ::-1]], 2)[:, 1:7, 2:13] for split, x in grey.items()})
    return path


class Zoo(NamedTuple):
    """Checkpoints one and two in a folder, of the data beside it."""

    folder: Path
    data: Path
    cards: dict[str, Card]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    home = tmp_path_factory.mktemp("own")
    data = grey_strips(home / "strips.npz")
    for name, family in FAMILIES.items():
        wanted = (f"--family={family}", "--data", data, "--preprocess", "threshold=8")
        done = rdserve("train", *wanted, "--out", home / "zoo" / name, *TINY)
        assert done.returncode == 0, done.stderr
    return Zoo(home / "zoo", data, {name: read_card(home / "zoo" / name) for name in FAMILIES})


def test_the_card_says_what_the_data_were(zoo: Zoo) -> None:
    test = load(str(zoo.data), split="test")
    for name, family in FAMILIES.items():
        card = zoo.cards[name]
        assert (card.architecture.family, card.architecture.image_shape) == (family, (6, 11))
        assert (card.input.shape, card.input.binarisation) == ((6, 11), "threshold=8")
        assert (card.data.name, card.data.sha256) == ("strips.npz", test.sha256)
        assert card.reference.n_examples == 60


def test_its_numbers_are_measured_again_wherever_the_data_lie(zoo: Zoo, tmp_path: Path) -> None:
    folder = zoo.folder / "one"
    assert rdserve("verify", folder).returncode == 0
    again = rdserve("train", "--out", folder)
    assert again.stderr.startswith(f"{folder} holds the checkpoint one already")
    moved = zoo.data.rename(tmp_path / "moved.npz")
    try:
        lost = rdserve("verify", folder)
        assert lost.returncode == Code.USAGE
        assert "strips.npz, which is not here; give its path with --data" in lost.stderr
        assert rdserve("verify", folder, "--data", moved).returncode == 0
        assert rdserve("package", folder, "--store", tmp_path, "--remeasure", "--data", moved).returncode == 0
    finally:
        moved.rename(zoo.data)


def test_they_are_served_and_compared_on_the_same_file(
    front: Callable[..., Front], zoo: Zoo, tmp_path: Path
) -> None:
    service = front(zoo.folder).address
    done = rdserve("compare", "--server", service, "--data", zoo.data, "--out", tmp_path, "--n-samples", "1")
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "comparison.json").read_text())
    assert not [line for line in document["warnings"] if "trained on other data" in line]
    assert document["data"]["preprocessing"] == "threshold=8"
    for model in document["models"]:
        stated = zoo.cards[model["name"]].reference
        assert model["rate_nats"] == pytest.approx(stated.rate_nats, abs=1e-3)
        assert model["distortion_nats"] == pytest.approx(stated.distortion_nats, abs=1e-3)
    few = (
        "--limit",
        "20",
        "--images",
        "6",
        "--n-bounds",
        "20",
        "--n-generated",
        "4",
        "--splits",
        "test,valid",
    )
    where = ("--server", service, "--out", tmp_path / "results", "--work", tmp_path / "work")
    done = rdserve("results", "--data", zoo.data, *where, *few)
    assert done.returncode == 0, done.stderr
    assert "strips.npz has no labels here" in done.stderr


class EndsInTheSecondEpoch(TrainingProgress):
    """As a machine that goes down."""

    def epoch_ended(self, epoch: int, *_: object) -> None:
        if epoch == 2:
            raise SystemError


def test_a_run_goes_on_with_the_same_data_alone(tmp_path: Path) -> None:
    data, out = grey_strips(tmp_path / "strips.npz"), tmp_path / "run"
    config = configure("---", str(data), preprocess="threshold=8", epochs=2, width=0.05)
    with pytest.raises(SystemError):
        train(config, out, name="run", progress=EndsInTheSecondEpoch())
    grey_strips(data, n=50)
    changed = rdserve("train", "--out", out)
    assert changed.returncode == Code.USAGE
    assert "strips.npz holds other data now: sha256" in changed.stderr
    grey_strips(data)
    done = rdserve("train", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("resuming at epoch 1 of 2")


@pytest.mark.parametrize(
    ("data", "preprocess", "message"),
    [
        (
            "patches",
            (),
            r"patches holds 256 levels of shape \(3, 32, 32\). Models of other data are trained else",
        ),
        ("digits-grey", (), r"--preprocess threshold=8 makes them binary.*come in by export"),
        ("digits-grey", ("blur=1",), r"no step 'blur'; there are threshold"),
        ("digits", ("threshold=1",), "they are binary already"),
        ("nowhere.npz", (), r"nowhere.npz: no such file or folder; a data set is .npz"),
        (
            "nowhere",
            (),
            r"no defaults for data set 'nowhere'; there are static-mnist, digits, omniglot, or the path of",
        ),
    ],
)
def test_what_the_families_here_do_not_take_is_refused(
    tmp_path: Path, data: str, preprocess: tuple[str, ...], message: str
) -> None:
    steps = [word for step in preprocess for word in ("--preprocess", step)]
    done = rdserve("train", "--family=---", "--data", data, *steps, "--out", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == Code.USAGE
    assert re.search(message, done.stderr), done.stderr
    assert not (tmp_path / "run").exists()


def test_splits_and_sizes_that_training_needs(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.eye(8, dtype=bool)[None])
    with pytest.raises(
        ConfigError, match=r"needs the splits train, valid, test; one.npy holds test and no train"
    ):
        configure("---", str(tmp_path / "one.npy"))
    small = np.ones((2, 3, 8), bool)
    np.savez(tmp_path / "small.npz", train=small, valid=small, test=small)
    with pytest.raises(ConfigError, match=r"small.npz holds 3x8 images, a side has 4 to 256 pixels"):
        configure("---", str(tmp_path / "small.npz"))


def test_a_recipe_of_own_data_names_models_after_the_file(tmp_path: Path) -> None:
    data = grey_strips(tmp_path / "my strips.npz")
    (tmp_path / "own.toml").write_text(
        f'data = "{data}"\n[settings]\nepochs = 2\npreprocess = "threshold=8"\n'
        '[[models]]\nfamilies = ["--v"]\nbetas = [1]\n'
    )
    (entry,) = read_recipe(tmp_path / "own.toml")
    assert entry.name == "my-strips-mmv-b1.0"
    assert (entry.config.image_size, entry.config.image_width, entry.config.epochs) == (6, 11, 2)
    assert entry.config == configure("--v", str(data), preprocess="threshold=8", epochs=2)
