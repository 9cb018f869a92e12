"""`--data PATH` and `--preprocess`: a file of one's own where the name of a data set goes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from front import Front
from PIL import Image
from rdserve.cli.exits import Code
from rdserve.client import Client
from rdserve.data import SPLITS, load
from rdserve.models.card_parts import InputSpec
from shell import rdserve

N = 12
DIGITS = load("digits", split="test")


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """A .npz of grey digits, few of each split."""
    few = {split: load("digits-grey", split=split) for split in SPLITS}
    labels = {f"{split}_label": each.labels[:N] for split, each in few.items() if each.labels is not None}
    np.savez(path := tmp_path / "grey.npz", **{split: each.x[:N] for split, each in few.items()}, **labels)
    return path


def document(folder: Path) -> Any:
    return json.loads((folder / "comparison.json").read_text())


def test_a_file_is_compared_on_and_verified(service: str, grey: Path, tmp_path: Path) -> None:
    wanted = ("--models", "tiny-mmm,tiny-ppp", "--out", tmp_path / "report", "--preprocess", "threshold=8")
    done = rdserve("compare", "--server", service, "--data", grey, *wanted)
    assert done.returncode == 0, done.stderr
    found = document(tmp_path / "report")
    assert (found["data"]["name"], found["data"]["preprocessing"]) == ("grey.npz", "threshold=8")
    assert found["data"]["sha256"] == load(str(grey), split="test").sha256
    assert found["examples"]["labels"] == load("digits", split="test").labels[:N].tolist()  # type: ignore[index]
    with Client(service) as client:
        score = client.score("tiny-mmm", DIGITS.images[:N])
    (rate,) = (model["rate_nats"] for model in found["models"] if model["name"] == "tiny-mmm")
    assert rate == pytest.approx(score.rate_nats.mean(), rel=1e-6)
    again = ("verify", tmp_path / "report" / "comparison.json", "--server", service)
    assert rdserve(*again, "--data", grey).returncode == 0
    assert "is of grey.npz, which is not here; give its path with --data" in rdserve(*again, cwd="/").stderr
    np.savez(grey, test=load("digits-grey", split="valid").x[:N])
    assert "other images: sha256" in rdserve(*again, "--data", grey).stderr


def test_what_is_not_binary_says_what_makes_it_so(in_process_service: str, grey: Path) -> None:
    done = rdserve("compare", "--server", in_process_service, "--data", grey)
    assert done.returncode == Code.USAGE
    words = "takes binary x, the data hold 256 levels of shape (8, 8). --preprocess threshold=128 makes them"
    assert words in " ".join(done.stderr.split())


def test_models_say_what_was_done_to_their_data(
    front: Callable[..., Front], make_checkpoint: Callable[..., Path], grey: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    after = {"a": "threshold=8", "b": "threshold=8", "c": "threshold=3"}
    for name, words in after.items():
        make_checkpoint(models, name=name, input=InputSpec(shape=(8, 8), binarisation=words))
    service = front(models).address
    wanted = ("compare", "--server", service, "--data", grey, "--out", tmp_path / "report")
    done = rdserve(*wanted, "--models", "a,b")
    assert done.returncode == 0, done.stderr
    assert document(tmp_path / "report")["data"]["preprocessing"] == "threshold=8"
    refused = rdserve(*wanted)
    assert refused.returncode == Code.USAGE
    assert "'a' after threshold=8, 'c' after threshold=3. Choose models that agree" in refused.stderr
    other = rdserve(*wanted, "--models", "a,b", "--preprocess", "threshold=4")
    assert other.returncode == Code.USAGE
    words = (
        "--preprocess says threshold=4, but model 'a' was trained after threshold=8. Leave --preprocess out"
    )
    assert words in other.stderr
    allowed = rdserve(
        *wanted, "--models", "a,b", "--preprocess", "threshold=4", "--allow-incomparable", "--restart"
    )
    assert allowed.returncode == 0, allowed.stderr
    assert "rdserve: warning: --preprocess says threshold=4" in allowed.stderr
    folder = tmp_path / "png"
    folder.mkdir()
    for place, pixels in enumerate(load("digits-grey", split="test").x[:4]):
        Image.fromarray(pixels).save(folder / f"{place}.png")
    ways = (("--data", folder), ("--data", "digits", "--limit", "4"))
    scored = [rdserve("score", "a", "--server", service, *way) for way in ways]
    assert [done.returncode for done in scored] == [0, 0], scored
    assert scored[0].stdout == scored[1].stdout, "the same images, by either way"


def test_bounds_read_what_cards_say(make_checkpoint: Callable[..., Path], grey: Path, tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path, input=InputSpec(shape=(8, 8), binarisation="threshold=8"))
    few = ("--limit", "8", "--n-generated", "4", "--k", "2", "--out", tmp_path / "bounds.json")
    found = []
    for data in (grey, "digits"):
        done = rdserve("bounds", model, "--data", data, *few)
        assert done.returncode == 0, done.stderr
        found.append(json.loads((tmp_path / "bounds.json").read_text())[0]["encoded"]["n"])
    assert found == [8, 8]
    refused = rdserve("bounds", model, "--data", grey, "--preprocess", "threshold=2", *few)
    assert refused.returncode == Code.USAGE
    assert "was trained after threshold=8" in refused.stderr


def test_a_step_that_is_none_and_a_path_that_leads_nowhere(in_process_service: str, grey: Path) -> None:
    wanted = ("score", "tiny-mmm", "--server", in_process_service, "--data")
    for arguments, words in {
        (grey, "--preprocess", "blur=2"): "no step 'blur'; there are threshold,",
        (grey.with_name("absent.npz"),): "absent.npz: no such file or folder; a data set is .npz",
        (grey, "--preprocess", "threshold=8", "--split", "valid"): "",
        ("patches",): "takes images of shape (N, 8, 8), got (104, 3, 32, 32)",
    }.items():
        done = rdserve(*wanted, *arguments)
        assert done.returncode == (Code.USAGE if words else 0), done.stderr
        assert words in done.stderr
