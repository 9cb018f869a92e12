"""`rdserve train` and `rdserve zoo` as a user types them."""

import json
import resource
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from rdserve.cli.exits import Code
from rdserve.models.card import Card, read_card
from rdserve.trainer import Config
from shell import RDSERVE, rdserve

pytestmark = pytest.mark.slow

TINY = ["--epochs", "1", "--batch-size", "400", "--width", "0.05", "--latent-dim", "4"]


def test_train_writes_a_checkpoint_and_says_where_it_stands(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    done = rdserve("train", "--family=-+-", "--beta", "0.5", "--out", str(out), *TINY)
    assert done.returncode == 0, done.stderr
    card = read_card(out)
    assert (card.name, card.architecture.family, card.objective.beta) == ("mine", "-+-", 0.5)
    assert done.stderr.startswith(f"mine  test R {card.reference.rate_nats:.2f} ±")
    assert done.stderr.splitlines()[-1] == f"{out}/model.json; next: rdserve serve --models {out}"
    again = rdserve("train", "--out", str(out))
    assert again.stderr == f"{out} holds the checkpoint mine already\n{done.stderr}"
    other = rdserve("train", "--out", str(out), "--epochs", "2")
    assert other.returncode == Code.USAGE
    assert "epochs is 1 there, 2 was asked for" in other.stderr


def test_train_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    for out, options in (("first", []), ("second", ["--start", str(tmp_path / "first"), "--beta", "0.1"])):
        done = rdserve("train", "--family=---", "--out", str(tmp_path / out), *options, *TINY)
        assert done.returncode == 0, done.stderr
    assert read_card(tmp_path / "second").training["start"] == "first"


def test_several_seeds_are_a_zoo_of_one_recipe(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    command = ["train", "--family=---", "--out", str(out), "--seeds", "0..1", "--weights-dtype", "float16"]
    command += ["--log", str(tmp_path / "log.jsonl"), "--curve"]
    done = rdserve(*command, *TINY)
    assert done.returncode == 0, done.stderr
    cards = [read_card(out / f"mine-s{seed}") for seed in (0, 1)]
    assert [card.training["seed"] for card in cards] == [0, 1]
    assert settings(cards[0]) | {"seed": 1} == settings(cards[1])
    assert cards[0].weights.dtype == "float16"
    assert cards[0].reference.rate_nats != cards[1].reference.rate_nats
    assert {line.split()[0] for line in done.stderr.splitlines()} == {"mine-s0", "mine-s1"}
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    ended = {line["name"]: line["test"]["rate_nats"] for line in logged if line["event"] == "ended"}
    assert ended == {card.name: card.reference.rate_nats for card in cards}
    assert all((out / card.name / "rate_distortion.png").is_file() for card in cards)
    again = rdserve(*command, *TINY)
    assert sorted(again.stderr.splitlines()) == sorted(done.stderr.splitlines())


def settings(card: Card) -> dict[str, object]:
    return {field.name: card.training.get(field.name) for field in fields(Config)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seeds", "4..0"], "seeds are like 0..4 or 0,3,7, each once; got '4..0'"),
        (["--seeds", "0..4", "--seed", "1"], "--seeds goes with neither --seed nor --start"),
    ],
)
def test_seeds_that_cannot_be_are_said(tmp_path: Path, options: list[str], said: str) -> None:
    done = rdserve("train", "--family=---", "--out", str(tmp_path / "mine"), *options)
    assert (done.returncode, done.stderr) == (Code.USAGE, f"error: {said}\n")


def test_what_cannot_be_is_one_line(tmp_path: Path) -> None:
    done = rdserve("train", "--family=---", "--epochs", "0", "--out", str(tmp_path / "mine"))
    assert done.returncode == Code.USAGE
    assert done.stderr == "error: epochs: must be at least 1, got 0\n"
    assert not (tmp_path / "mine").exists()


def test_a_name_that_no_card_may_bear_is_refused_before_training(tmp_path: Path) -> None:
    done = rdserve("train", "--family=-+v", "--out", str(tmp_path / "m-+v"), *TINY)
    assert done.returncode == Code.USAGE
    assert done.stderr.startswith("error: no model can be named 'm-+v'; give it a name of up to 128 letters")
    assert not (tmp_path / "m-+v").exists()


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from rdserve.cli import main\n"
        "from rdserve.trainer import progress\n"
        "progress.TrainingProgress.epoch_ended = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
        "main()"
    )
    command = [sys.executable, "-c", code, "train", "--family=---", "--out", str(tmp_path / "mine"), *TINY]
    done = subprocess.run([*command, "--epochs", "2"], capture_output=True, text=True)
    assert done.returncode == 128 + signal.SIGINT
    assert "stopped in epoch 1 of 2" in done.stderr
    assert "The same command goes on from there." in done.stderr
    assert (tmp_path / "mine" / "training.safetensors").is_file()
    on = rdserve("train", "--out", str(tmp_path / "mine"))
    assert on.returncode == 0, on.stderr
    assert on.stderr.startswith("resuming at epoch 1 of 2\nmine  test R ")
    whole = rdserve("train", "--family=---", "--out", str(tmp_path / "whole"), *TINY, "--epochs", "2")
    assert whole.returncode == 0, whole.stderr
    weights = [read_card(tmp_path / name).weights for name in ("mine", "whole")]
    assert weights[0] == weights[1]


def test_a_folder_without_a_run_needs_a_family(tmp_path: Path) -> None:
    done = rdserve("train", "--out", str(tmp_path / "mine"))
    assert done.returncode == Code.USAGE
    wanted = "holds no run to go on with; a new one needs a family, as --family=-+v"
    assert done.stderr == f"error: {tmp_path}/mine {wanted}\n"


def test_a_disk_that_is_full_is_one_line(tmp_path: Path) -> None:
    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    command = [*RDSERVE, "train", "--family=---", "--out", str(tmp_path / "mine"), *TINY]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=no_large_files)
    assert done.returncode == Code.IO, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: {tmp_path}/mine: ")
    assert "File too large" in done.stderr
