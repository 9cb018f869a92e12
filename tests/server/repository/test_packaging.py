import json
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rdserve.models.card import CARD_FILE, read_card, write_card
from rdserve.models.card_parts import WEIGHTS_FILE
from rdserve.server.repository.archive import MANIFEST_FILE, installed_handler, open_archive
from rdserve.server.repository.packaging import PackagingError, package
from safetensors.torch import load_file, save_file

MakeCheckpoint = Callable[..., Path]


@pytest.fixture
def checkpoint(tmp_path: Path, make_checkpoint: MakeCheckpoint) -> Path:
    return make_checkpoint(tmp_path / "checkpoints")


def reweigh(checkpoint: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the weights, and the card's hash with them."""
    from rdserve.models.card import sha256_of

    weights = load_file(checkpoint / WEIGHTS_FILE)
    change(weights)
    save_file(weights, checkpoint / WEIGHTS_FILE)
    card = read_card(checkpoint)
    found = card.weights.model_copy(update={"sha256": sha256_of(checkpoint / WEIGHTS_FILE)})
    write_card(card.model_copy(update={"weights": found}), checkpoint)


def edit_card(checkpoint: Path, **changes: object) -> None:
    card = json.loads((checkpoint / CARD_FILE).read_text()) | changes
    (checkpoint / CARD_FILE).write_text(json.dumps(card))


def grow(weights: dict[str, torch.Tensor]) -> None:
    name = next(iter(weights))
    weights[name] = torch.zeros(3, 3)


def blow_up(weights: dict[str, torch.Tensor]) -> None:
    for tensor in weights.values():
        tensor.fill_(3e38)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no card": (lambda c: (c / CARD_FILE).unlink(), "no model.json here"),
    "no weights": (lambda c: (c / WEIGHTS_FILE).unlink(), "no model.safetensors here"),
    "no json": (lambda c: (c / CARD_FILE).write_text("{"), "Invalid JSON"),
    "a field of no card": (lambda c: edit_card(c, colour="red"), "colour: Extra inputs"),
    "another hash": (lambda c: reweigh_only(c), "the card says model.safetensors .*, the file has"),
    "another shape": (lambda c: reweigh(c, grow), "should be .*, is"),
    "nan weights": (lambda c: reweigh(c, lambda w: next(iter(w.values())).fill_(float("nan"))), "not finite"),
    "no finite score": (lambda c: reweigh(c, blow_up), "NaN|internal error"),
}


def reweigh_only(checkpoint: Path) -> None:
    data = bytearray((checkpoint / WEIGHTS_FILE).read_bytes())
    data[-1] ^= 1
    (checkpoint / WEIGHTS_FILE).write_bytes(data)


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_checkpoint_is_refused_and_leaves_nothing(checkpoint: Path, tmp_path: Path, case: str) -> None:
    spoil, says = REFUSED[case]
    spoil(checkpoint)
    with pytest.raises(PackagingError, match=says) as caught:
        package(checkpoint, tmp_path / "store")
    assert str(checkpoint) in str(caught.value)
    assert not list((tmp_path / "store").glob("*"))


def test_packaging_again_replaces(checkpoint: Path, tmp_path: Path) -> None:
    first = package(checkpoint, tmp_path / "store").stat().st_ino
    path = package(checkpoint, tmp_path / "store")
    assert path.stat().st_ino != first
    assert list((tmp_path / "store").iterdir()) == [path]


def test_an_archive_is_what_torch_model_archiver_makes(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings(category=ResourceWarning, action="ignore"):  # it leaves a file open
        from model_archiver.model_packaging import generate_model_archive
        from model_archiver.model_packaging_utils import ModelArchiverConfig

    made = open_archive(package(checkpoint, tmp_path / "ours"))
    extra = tmp_path / "selftest.json"
    extra.write_text(made.selftest.model_dump_json())
    config = ModelArchiverConfig(
        model_name=made.card.name,
        version=made.card.version,
        handler=str(installed_handler()),
        serialized_file=str(checkpoint / WEIGHTS_FILE),
        extra_files=f"{checkpoint / CARD_FILE},{extra}",
        export_path=str(tmp_path),
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    generate_model_archive(config)
    ours, theirs = map(members, (made.path, tmp_path / made.path.name))
    manifests = [json.loads(each.pop(MANIFEST_FILE)) | {"createdOn": ""} for each in (ours, theirs)]
    assert manifests[0] == manifests[1]
    assert list(manifests[0]) == list(manifests[1])
    assert ours == theirs


def members(archive: Path) -> dict[str, bytes]:
    """The files in it."""
    with zipfile.ZipFile(archive) as file:
        return {entry.filename: file.read(entry) for entry in file.infolist() if not entry.is_dir()}


@pytest.mark.slow
def test_several_are_reported_one_by_one(checkpoint: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rdserve.server.repository.packaging", str(tmp_path / "store")]
    missing = tmp_path / "missing"
    done = subprocess.run([*command, str(missing), str(checkpoint)], capture_output=True, check=True)
    refused, made = map(json.loads, done.stdout.splitlines())
    assert "no model.json here" in refused["error"]
    assert open_archive(Path(made["archive"])).card == read_card(checkpoint)
