"""`rdserve import`: from what pythae saved to a report, and what it refuses."""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pythae_models import pythae, trained
from rdserve.cli.exits import Code
from rdserve.data import load
from rdserve.models.card import read_card
from shell import rdserve

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).parents[2] / "docs/own_models.md"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two models of pythae's lie as it saves them."""
    folder = tmp_path_factory.mktemp("pythae")
    models = {"vae": ("VAE", {}), "vamp": ("VAMP", {"number_components": 10})}
    for name, (kind, config) in models.items():
        model: Any = trained(kind, reconstruction_loss="bce", **config)
        model.save(str(folder / name / "final_model"))
    return folder


def commands() -> list[list[str]]:
    """The guide's path from checkpoints to a report."""
    blocks = GUIDE.read_text().split("```")[1::2]
    (path,) = [block for block in blocks if block.strip().startswith("rdserve import pythae")]
    return [line.split()[1:] for line in path.strip().splitlines()]


def test_the_guides_commands_lead_to_a_report(saved: Path) -> None:
    path = commands()
    assert len(path) <= 3
    for command in path:
        done = rdserve(*command, cwd=saved)
        assert done.returncode == 0, done.stderr
    found = json.loads((saved / "report" / "comparison.json").read_text())
    assert {model["name"] for model in found["models"]} == {"vae", "vamp"}
    assert not found["warnings"]
    assert "vamp" in (saved / "report" / "report.html").read_text()
    card, data = read_card(saved / "models" / "vae"), load("digits", split="test")
    assert (card.input.binarisation, card.data.sha256) == (data.binarisation, data.sha256)
    stated = card.reference.rate_nats
    (rate,) = (model["rate_nats"] for model in found["models"] if model["name"] == "vae")
    assert rate == pytest.approx(stated, abs=1e-4)
    again = rdserve(*path[0], cwd=saved)
    assert (again.returncode, again.stdout) == (Code.USAGE, "")
    assert "there is something already" in again.stderr


def refused(folder: Path, *options: str | Path) -> str:
    done = rdserve("import", "pythae", folder, folder / "out", "--data", "digits", *options)
    assert done.returncode == Code.USAGE, done.stderr
    assert not (folder / "out").exists()
    return done.stderr


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"name": "RAE_L2_Config"}, "pythae's RAE_L2 is not served: its z is certain"),
        ({"name": "HVAEConfig"}, "gradients inside forward"),
        ({"name": "PoincareVAEConfig"}, "Poincare ball"),
        ({"name": "os.system"}, "pythae's 'os.system' is not known; there are Adversarial_AE, BetaTCVAE"),
        ({"name": "VAEConfig"}, "no model.pt, in which pythae saves the weights"),
        (None, "no model_config.json: give the folder that model.save(...) of pythae wrote"),
        ([], "no JSON object"),
    ],
)
def test_what_is_no_such_model_is_refused(config: object, words: str, tmp_path: Path) -> None:
    pythae()
    if config is not None:
        (tmp_path / "model_config.json").write_text(json.dumps(config))
    assert words in refused(tmp_path)


class Pickled:
    """What a pickle can do."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_code_in_a_folder_is_not_run_and_the_cure_is_named(tmp_path: Path) -> None:
    pythae()
    config = {"name": "VAEConfig", "input_dim": [1, 8, 8], "latent_dim": 4}
    (tmp_path / "model_config.json").write_text(json.dumps(config))
    torch.save({"model_state_dict": Pickled(mark := tmp_path / "ran")}, tmp_path / "model.pt")
    assert "model.pt: no file of tensors alone" in refused(tmp_path)
    (tmp_path / "encoder.pkl").write_bytes(pickle.dumps(Pickled(mark)))
    lines = refused(tmp_path).splitlines()
    assert "encoder.pkl hold code of its author's, which rdserve does not run" in lines[0]
    assert f'export_pythae(AutoModel.load_from_folder("{tmp_path}")' in lines[-1]
    assert not mark.exists()


def test_weights_of_another_configuration_are_refused(saved: Path, tmp_path: Path) -> None:
    config = json.loads((saved / "vae" / "final_model" / "model_config.json").read_text())
    (tmp_path / "model_config.json").write_text(json.dumps(config | {"latent_dim": 5}))
    (tmp_path / "model.pt").write_bytes((saved / "vae" / "final_model" / "model.pt").read_bytes())
    assert "make no VAE: Error(s) in loading state_dict" in refused(tmp_path)


def test_grey_values_under_a_loss_of_bits_name_the_law_to_choose(saved: Path, tmp_path: Path) -> None:
    folder = saved / "vae" / "final_model"
    done = rdserve("import", "pythae", folder, tmp_path / "out", "--data", "digits-grey")
    assert done.returncode == Code.USAGE
    assert "bernoulli takes binary pixels, 0 or 1" in done.stderr


def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pythae", None)  # type: ignore[arg-type]
    done = rdserve("import", "pythae", tmp_path, tmp_path / "out", "--data", "digits")
    assert done.returncode == Code.UNAVAILABLE
    assert "pythae is not installed; pip install pythae" in done.stderr
