"""What a run tells while it goes: a log, event files, a picture, or any tool's callback."""

import json
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rdserve.models.card import Card
from rdserve.models.reference import Means
from rdserve.trainer import Config, ConfigError, Stopped, configure, curve, train, watch
from rdserve.trainer.progress import TrainingProgress
from rdserve.trainer.run import EpochMeans
from rdserve.trainer.watch import Together, TrainingWatch

pytestmark = pytest.mark.slow

CONFIG = configure("---", "digits", epochs=3, batch_size=400, width=0.05, latent_dim=4, reference_samples=1)


class Remember(TrainingProgress):
    """Keeps what it is told; stops after an epoch, before that is saved."""

    def __init__(self, stop_after: int = 0) -> None:
        self.before: list[EpochMeans] = []
        self.epochs: list[EpochMeans] = []
        self.stop_after = stop_after

    def began(self, name: str, config: Config, history: Sequence[EpochMeans]) -> None:
        self.before = list(history)

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        self.epochs.append(EpochMeans(epoch, train, valid))
        if epoch == self.stop_after:
            raise Stopped("here")

    def ended(self, card: Card) -> None:
        self.card = card


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Remember, Remember]:
    """A folder with log, event files and picture of a run that was interrupted in its second epoch."""
    folder = tmp_path_factory.mktemp("watched")
    leaves = TrainingWatch(log=folder / "logs" / "log.jsonl", tensorboard=folder / "events", curve=True)
    told = Remember(stop_after=2), Remember()
    with pytest.raises(Stopped):
        train(
            CONFIG, folder / "run", name="mine", progress=Together(*leaves.watchers(folder / "run"), told[0])
        )
    train(CONFIG, folder / "run", name="mine", progress=Together(*leaves.watchers(folder / "run"), told[1]))
    return folder, *told


def test_a_run_that_goes_on_knows_its_epochs(watched: tuple[Path, Remember, Remember]) -> None:
    _, first, second = watched
    assert second.before == first.epochs[:1]
    assert second.epochs[0] == first.epochs[1]
    assert [each.epoch for each in second.epochs] == [2, 3]


def test_the_log_has_a_line_for_each_epoch(watched: tuple[Path, Remember, Remember]) -> None:
    folder, first, second = watched
    lines = [json.loads(line) for line in (folder / "logs" / "log.jsonl").read_text().splitlines()]
    assert [(line["event"], line.get("epoch")) for line in lines] == [
        *(("began", 0), ("epoch", 1), ("epoch", 2)),
        *(("began", 1), ("epoch", 2), ("epoch", 3), ("ended", None)),
    ]
    assert {line["name"] for line in lines} == {"mine"}
    assert lines[0]["config"] == CONFIG.as_dict()
    logged = [line for line in lines if line["event"] == "epoch"]
    for line, told in zip(logged, first.epochs + second.epochs, strict=True):
        for split, means in (("train", told.train), ("valid", told.valid)):
            assert line[split]["rate_nats"] == means.rate
            assert line[split]["distortion_nats"] == means.distortion
            assert line[split]["elbo_nats"] == means.elbo
    assert lines[-1]["test"]["rate_nats"] == second.card.reference.rate_nats


def test_event_files_hold_the_same(watched: tuple[Path, Remember, Remember]) -> None:
    pytest.importorskip("tensorboardX", reason="the extra rdserve[tensorboard] is not installed")
    folder, first, second = watched
    values = {
        (value.tag, event.step): value.simple_value
        for path in sorted((folder / "events" / "mine").iterdir())
        for event in events(path)
        for value in event.summary.value
    }
    for told in first.epochs + second.epochs:
        assert values["rate/train", told.epoch] == np.float32(told.train.rate)
        assert values["distortion/valid", told.epoch] == np.float32(told.valid.distortion)
        assert values["elbo/valid", told.epoch] == np.float32(told.valid.elbo)
    assert values["rate/test", 3] == np.float32(second.card.reference.rate_nats)


def events(path: Path) -> Iterator[Any]:
    """Of a file of TensorFlow's records: length (8), its check (4), the record, its check (4)."""
    from tensorboardX.proto.event_pb2 import Event

    content = path.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        yield Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]


def test_the_picture_is_drawn_and_no_draft_of_it_is_left(watched: tuple[Path, Remember, Remember]) -> None:
    run = watched[0] / "run"
    assert (run / "rate_distortion.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in run.iterdir()} == {"model.json", "model.safetensors", "rate_distortion.png"}


def test_the_picture_shows_every_epoch_and_lines_of_equal_elbo(
    watched: tuple[Path, Remember, Remember],
) -> None:
    _, first, second = watched
    history = first.epochs[:1] + second.epochs
    axes = curve.plane("mine", history, second.card.reference).axes[0]
    train_line, _, valid_line, *_ = (line for line in axes.lines if line.get_label() != "")
    for line, means in ((train_line, [e.train for e in history]), (valid_line, [e.valid for e in history])):
        assert line.get_xydata().tolist() == [list(each) for each in means]
    at = [(float(text.get_text().removeprefix("ELBO ")), text.xy) for text in axes.texts]
    assert len(at) >= 2
    assert all(-sum(place) == pytest.approx(elbo) for elbo, place in at)


def test_the_picture_is_drawn_again_only_after_a_while(
    tmp_path: Path, watched: tuple[Path, Remember, Remember], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(
        curve, "plane", lambda title, *_: drawn.append(title) or SimpleNamespace(savefig=touch)
    )
    monkeypatch.setattr(curve.time, "monotonic", iter([0.0, 0.0, 9.0, 11.0, 11.0]).__next__)
    picture = curve.Curve(tmp_path)
    picture.began("mine", replace(CONFIG, epochs=9), [])
    for epoch in (1, 2, 3):
        picture.epoch_ended(epoch, Means(1.0, 2.0), Means(1.0, 2.0))
    picture.ended(watched[2].card)
    assert drawn == [f"mine, epoch {epoch} of 9" for epoch in (1, 3, 3)]


def touch(path: Path, **_: object) -> None:
    path.touch()


@pytest.mark.parametrize(
    ("leaves", "package", "extra"),
    [
        (TrainingWatch(tensorboard=Path("t")), "tensorboardX", "tensorboard"),
        (TrainingWatch(curve=True), "matplotlib", "compare"),
    ],
)
def test_a_package_that_is_missing_is_said_before_training(
    leaves: TrainingWatch, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"needs? {package}; pip install 'rdserve\[{extra}\]'"):
        leaves.require()


@pytest.mark.parametrize("tool", ["wandb", "mlflow"])
def test_the_callbacks_of_the_page_tell_other_tools(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block of docs/training.md as it stands, with an object in the tool's place."""
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    (block,) = (b for b in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE) if tool in b)
    there = StandIn()
    monkeypatch.setitem(sys.modules, tool, there)
    monkeypatch.chdir(tmp_path)
    exec(
        compile(block.replace("epochs=60", "epochs=2, batch_size=400, width=0.05"), "training.md", "exec"), {}
    )
    logged = [arguments for call, arguments in there.calls if call in ("log", "log_metrics")]
    assert [keywords["step"] for _, keywords in logged] == [1, 2]
    assert set(logged[0][0][0]) == {"train_rate", "train_distortion", "valid_rate", "valid_distortion"}
    assert there.calls[-1][0] in ("finish", "end_run")


class StandIn:
    """Any function of a tool: remembers its calls in `calls`, and returns itself."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[tuple[Any, ...], dict[str, Any]]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **keywords: Any) -> "StandIn":
            self.calls.append((name, (arguments, keywords)))
            return self

        return call
