"""The two models that are measured: the smallest of the digits zoo, and one of the paper's size."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from rdserve.models.card_parts import Architecture, InputSpec, TrainingData
from rdserve.models.checkpoint import load, save
from rdserve.models.families import build
from rdserve.server.repository.packaging import package

SMALL, PAPER = "digits-mmm-b1.0", "paper-mmm"
SHAPES = {SMALL: (8, 8), PAPER: (28, 28)}
ZOO = Path(__file__).resolve().parent.parent / "zoo" / "digits"


@dataclass(frozen=True)
class Subjects:
    """Checkpoint folders by name, and the same packaged."""

    checkpoints: dict[str, Path]
    store: Path

    @property
    def archives(self) -> list[Path]:
        """The archives in the store."""
        return sorted(self.store.glob("*.mar"))


def prepare(folder: Path, names: tuple[str, ...]) -> Subjects:
    """Both checkpoints, or one of them, and their archives, under `folder`."""
    checkpoints = {name: folder / "checkpoints" / name for name in names}
    for name, checkpoint in checkpoints.items():
        if name == PAPER:
            _make_paper(checkpoint)
        else:
            shutil.copytree(ZOO / name, checkpoint)
        package(checkpoint, folder / "store")
    return Subjects(checkpoints, folder / "store")


def _make_paper(folder: Path) -> None:
    """A simple VAE of the paper's size with random weights: good for timing, and for nothing else.

    Its card is the small one's where nothing depends on it.
    """
    torch.manual_seed(0)
    architecture = Architecture(family="---")
    changes = {
        "name": folder.name,
        "architecture": architecture,
        "input": InputSpec(shape=SHAPES[PAPER], binarisation="none"),
        "data": TrainingData(name="random", sha256="0" * 64),
    }
    save(build(architecture), load(ZOO / SMALL)[0].model_copy(update=changes), folder)
