import os
import select
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rdserve.models.card import Card, read_card
from rdserve.models.reference import Means
from rdserve.trainer import ConfigError, train
from rdserve.trainer.progress import TrainingProgress, ZooProgress
from rdserve.trainer.recipe import Failed, RecipeEntry, read_recipe, train_all
from rdserve.trainer.seeds import parse_seeds

pytestmark = pytest.mark.slow

RECIPE = """
data = "digits"
[settings]
epochs = 1
batch_size = 400
width = 0.05
latent_dim = 4
reference_samples = 1
[[models]]
families = ["---", "+--"]
betas = [1.0]
[[models]]
families = ["---"]
betas = [0.15]
epochs = 2
suffix = "-long"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def trained(entries: list[RecipeEntry], zoo: Path, jobs: int) -> dict[str, Card]:
    return {card.name: card for card in train_all(entries, zoo, jobs=jobs) if isinstance(card, Card)}


def test_a_recipe_is_families_times_betas(recipe: Path) -> None:
    entries = {entry.name: entry.config for entry in read_recipe(recipe)}
    assert list(entries) == ["digits-mmm-b1.0", "digits-pmm-b1.0", "digits-mmm-b0.15-long"]
    assert entries["digits-mmm-b1.0"].epochs == 1
    assert entries["digits-mmm-b0.15-long"].epochs == 2
    assert entries["digits-mmm-b0.15-long"].beta == 0.15


def test_a_recipe_repeats_models_from_several_seeds(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("epochs = 2", 'epochs = 2\nseeds = "3..4"'))
    seeds = {entry.name: entry.config.seed for entry in read_recipe(recipe)[2:]}
    assert seeds == {"digits-mmm-b0.15-long-s3": 3, "digits-mmm-b0.15-long-s4": 4}


@pytest.mark.parametrize(
    ("text", "seeds"), [("0..2", [0, 1, 2]), (" 3 .. 3 ", [3]), ("5,0", [5, 0]), ([1, 2], [1, 2])]
)
def test_seeds_in_a_word(text: str | list[int], seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "2..1", "1,1", "-1", "0..", "a", [], [1.5], [True], [-1], "0..1000"])
def test_what_are_no_seeds_is_said(text: str | list[int]) -> None:
    with pytest.raises(ConfigError, match=r"seeds are like 0\.\.4|1001 seeds; at most 1000"):
        parse_seeds(text)


class Remembering(ZooProgress):
    """Keeps what it is told, in words."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def began(self, title: str, n_epochs: int) -> TrainingProgress:
        self.told.append(f"{title} began, {n_epochs}")
        return RememberingWatch(title, self.told)

    def ended(self, title: str) -> None:
        self.told.append(f"{title} ended")


class RememberingWatch(TrainingProgress):
    def __init__(self, title: str, told: list[str]) -> None:
        self.title, self.told = title, told

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        assert train.rate > 0
        assert valid.rate > 0
        self.told.append(f"{self.title} epoch {epoch}")


FROM_ANOTHER = """
[[models]]
families = ["---"]
betas = [0.1]
start = "b1.0"
"""
HOT = """
[[models]]
families = ["---"]
betas = [1.0]
learning_rate = 1e6
suffix = "-hot"
[[models]]
families = ["---"]
betas = [0.2]
start = "b1.0-hot"
"""


@dataclass(frozen=True)
class TrainedZoo:
    """What became of a recipe. told: of its progress."""

    folder: Path
    entries: dict[str, RecipeEntry]
    cards: dict[str, Card]
    whys: dict[str, str]
    told: list[str]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> TrainedZoo:
    """Three models, one that starts where another ended, one that fails, and one that starts from that."""
    folder = tmp_path_factory.mktemp("recipe")
    recipe, board = folder / "tiny.toml", Remembering()
    recipe.write_text(RECIPE + FROM_ANOTHER + HOT)
    entries = read_recipe(recipe)
    outcomes = list(train_all(entries, folder / "zoo", jobs=2, progress=board))
    return TrainedZoo(
        folder / "zoo",
        {entry.name: entry for entry in entries},
        {card.name: card for card in outcomes if isinstance(card, Card)},
        {each.name: each.why for each in outcomes if isinstance(each, Failed)},
        board.told,
    )


def test_progress_is_told_from_other_processes(zoo: TrainedZoo) -> None:
    long = [line for line in zoo.told if line.startswith("digits-mmm-b0.15-long")]
    assert [line.partition(" ")[2] for line in long] == ["began, 2", "epoch 1", "epoch 2", "ended"]
    assert sum(line.endswith("ended") for line in zoo.told) == 5


def test_what_is_there_is_not_trained_again(zoo: TrainedZoo) -> None:
    before = {name: (zoo.folder / name / "model.safetensors").stat().st_mtime_ns for name in zoo.cards}
    assert trained([zoo.entries[name] for name in zoo.cards], zoo.folder, jobs=1) == zoo.cards
    for name, mtime in before.items():
        assert (zoo.folder / name / "model.safetensors").stat().st_mtime_ns == mtime
        assert read_card(zoo.folder / name) == zoo.cards[name]


def test_a_model_may_start_where_another_ended(zoo: TrainedZoo, tmp_path: Path) -> None:
    went_on = zoo.cards["digits-mmm-b0.1"]
    assert went_on.training["start"] == "digits-mmm-b1.0"
    config = replace(zoo.entries[went_on.name].config, start="")
    fresh = train(config, tmp_path / "fresh", name="fresh")
    total = [r.distortion_nats + 0.1 * r.rate_nats for r in (went_on.reference, fresh.reference)]
    assert total[0] < total[1]


def test_a_model_that_fails_leaves_the_others_alone(zoo: TrainedZoo) -> None:
    whys = dict(zoo.whys)
    assert "lower learning rate" in whys.pop("digits-mmm-b1.0-hot")
    assert whys == {"digits-mmm-b0.2": "there is no digits-mmm-b1.0-hot"}
    others = ["digits-mmm-b0.1", "digits-mmm-b0.15-long", "digits-mmm-b1.0", "digits-pmm-b1.0"]
    assert sorted(zoo.cards) == others


def test_two_models_of_one_name_are_refused(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace('suffix = "-long"', "").replace("0.15", "1.0"))
    with pytest.raises(ConfigError, match=r"two models digits-mmm-b1\.0; give one group a suffix"):
        read_recipe(recipe)


@pytest.mark.parametrize("text", ["data = ", "data = 'digits'", "data = 'digits'\n[[models]]\nbetas = [1.0]"])
def test_what_is_not_a_recipe_is_named(recipe: Path, text: str) -> None:
    recipe.write_text(text)
    with pytest.raises(ConfigError, match=r"tiny\.toml is not a recipe"):
        read_recipe(recipe)


def test_a_start_that_is_not_in_the_recipe_is_refused(recipe: Path) -> None:
    recipe.write_text(RECIPE + FROM_ANOTHER.replace("b1.0", "b0.7"))
    with pytest.raises(ConfigError, match=r"starts models from digits-mmm-b0\.7, which it does not name"):
        read_recipe(recipe)


def test_models_that_wait_for_one_another_are_refused(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(RECIPE.replace("betas = [1.0]", "betas = [1.0]\nstart = 'b1.0'", 1))
    outcomes = list(train_all(read_recipe(recipe), tmp_path / "zoo", jobs=1))
    assert outcomes[1:] == [
        Failed("digits-mmm-b1.0", "there is no digits-mmm-b1.0"),
        Failed("digits-pmm-b1.0", "there is no digits-pmm-b1.0"),
    ]


ONE_AT_A_TIME = """
import sys
import os
import select
import subprocess
import sys
from multiprocessing import active_children
from pathlib import Path
from rdserve.trainer.recipe import read_recipe, train_all
if __name__ == "__main__":
    for card in train_all(read_recipe(Path(sys.argv[1])), Path(sys.argv[2]), jobs=1):
        print(card.name, *(child.pid for child in active_children()), flush=True)
"""


def test_a_killed_zoo_leaves_no_process(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(RECIPE.replace("epochs = 2", "epochs = 100000"))
    script = tmp_path / "script.py"
    script.write_text(ONE_AT_A_TIME)
    command = [sys.executable, str(script), str(recipe), str(tmp_path / "zoo")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        _, pid = process.stdout.readline().split()
        worker = os.pidfd_open(int(pid))
        process.kill()
    ended, _, _ = select.select([worker], [], [], 60)
    os.close(worker)
    assert ended


def test_sigterm_ends_a_zoo_with_every_state_saved(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(RECIPE.replace("epochs = 2", "epochs = 100000"))
    zoo = tmp_path / "zoo"
    code = "from rdserve.cli import main; main()"
    command = [sys.executable, "-c", code, "zoo", str(recipe), "--out", str(zoo), "--jobs", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        before = next(line for line in process.stderr if line.startswith("digits-pmm-b1.0"))
        state = zoo / "digits-mmm-b0.15-long" / "training.safetensors"
        while not state.is_file():
            assert process.poll() is None, before + process.stderr.read()
            select.select([], [], [], 0.05)
        process.terminate()
        said = process.stderr.read()
        assert process.wait() == 130
    assert f"stopped; the models under way are saved in {zoo}" in " ".join(said.split())
    assert state.is_file()
