"""A checkpoint is what its card says, or it is refused with the facts that disagree."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rdserve.models.card import CARD_FILE, CardError, read_card, sha256_of
from rdserve.models.card_parts import WEIGHTS_FILE, Architecture, Weights
from rdserve.models.checkpoint import load, save
from rdserve.models.families import build
from safetensors.torch import load_file, save_file
from tiny import NO_HASH, tiny_card

ARCHITECTURE = Architecture(family="-+v", image_size=8, latent_dim=3, width=0.1, n_pseudo_inputs=4)
CARD = tiny_card("tiny", ARCHITECTURE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save(build(ARCHITECTURE), CARD, tmp_path)
    return tmp_path


def test_round_trip(folder: Path) -> None:
    card, vae = load(folder)
    torch.manual_seed(0)
    original = build(ARCHITECTURE).state_dict()
    assert card.model_copy(update={"weights": CARD.weights}) == CARD
    assert all(torch.equal(tensor, original[name]) for name, tensor in vae.state_dict().items())
    assert not vae.training


def test_half_precision_on_disk_is_what_is_served(tmp_path: Path) -> None:
    card = save(
        build(ARCHITECTURE),
        CARD.model_copy(update={"weights": Weights(sha256=NO_HASH, dtype="float16")}),
        tmp_path,
    )
    assert card.weights.sha256 == sha256_of(tmp_path / WEIGHTS_FILE)
    assert all(t.dtype == torch.float16 for t in load_file(tmp_path / WEIGHTS_FILE).values())
    _, vae = load(tmp_path)
    assert all(torch.equal(p, p.half().float()) for p in vae.parameters())


def edit(folder: Path, change: Callable[[dict], object]) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    change(card)
    (folder / CARD_FILE).write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda c: c["architecture"].update(family="-*v"), "architecture.family"),
        (lambda c: c["architecture"].update(image_size="8"), "architecture.image_size"),
        (lambda c: c.update(name="../up"), "name"),
        (lambda c: c.update(format="rdserve-checkpoint/9"), "format"),
        (lambda c: c.pop("likelihood") and c.update(likelihood="gaussian"), "likelihood"),
        (lambda c: c["reference"].pop("seed"), "reference.seed"),
        (lambda c: c["reference"].update(rate_nats="NaN"), "reference.rate_nats"),
        (lambda c: c.update(surprise=1), "surprise"),
    ],
)
def test_a_card_that_breaks_the_contract_names_the_field(
    folder: Path, change: Callable[[dict], object], word: str
) -> None:
    edit(folder, change)
    with pytest.raises(CardError, match=word):
        read_card(folder)


def test_weights_that_are_not_the_cards(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS_FILE).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(data)
    with pytest.raises(CardError, match=f"{sha256_of(folder / WEIGHTS_FILE)}"):
        load(folder)


def rewrite(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, folder / WEIGHTS_FILE)
    edit(folder, lambda c: c["weights"].update(sha256=sha256_of(folder / WEIGHTS_FILE)))


def test_weights_of_another_architecture_quote_both_shapes(folder: Path) -> None:
    edit(folder, lambda c: c["architecture"].update(latent_dim=5))
    with pytest.raises(CardError, match=r"should be \(5.*is \(3"):
        load(folder)


def test_missing_and_broken_weights(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS_FILE)
    name = next(iter(weights))
    rewrite(folder, {k: v for k, v in weights.items() if k != name})
    with pytest.raises(CardError, match=f"{name} should be .* is absent"):
        load(folder)
    rewrite(folder, {**weights, name: torch.full_like(weights[name], float("nan"))})
    with pytest.raises(CardError, match=f"not finite: {name}"):
        load(folder)
    (folder / WEIGHTS_FILE).write_bytes(b"not safetensors")
    edit(folder, lambda c: c["weights"].update(sha256=sha256_of(folder / WEIGHTS_FILE)))
    with pytest.raises(CardError, match=WEIGHTS_FILE):
        load(folder)


def test_absent_parts(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(CardError, match=r"no model\.json"):
        read_card(tmp_path / "nowhere")
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(CardError, match=r"no model\.safetensors"):
        load(folder)


def test_input_shape_must_fit_the_architecture(folder: Path) -> None:
    edit(folder, lambda c: c["input"].update(shape=[9, 8]))
    with pytest.raises(CardError, match=r"\(9, 8\).*\(8, 8\)"):
        load(folder)


def test_a_service_that_runs_as_somebody_else_can_read_the_weights(folder: Path) -> None:
    assert (folder / WEIGHTS_FILE).stat().st_mode & 0o044 == 0o044
