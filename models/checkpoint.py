"""A checkpoint folder: model.safetensors beside its card, model.json. See docs/checkpoint.md."""

import hashlib
from pathlib import Path

import torch
from rdserve.models.card import CardError, TorchCard, read_card, verify_files, write_card
from rdserve.models.card_parts import ONE_HOT, WEIGHTS_FILE, Weights
from rdserve.models.families import build
from rdserve.models.vae import VAE
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor


def save_weights(vae: VAE, folder: Path, dtype: torch.dtype = torch.float32) -> Weights:
    """Write the weights, atomically, and say what the card must say of them."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{WEIGHTS_FILE}.draft"
    save_file({name: t.detach().to("cpu", dtype).contiguous() for name, t in vae.state_dict().items()}, draft)
    # safetensors lets its owner alone read the file; a service often runs as somebody else.
    draft.chmod(0o644)
    draft.replace(folder / WEIGHTS_FILE)
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    return Weights.model_validate({"sha256": digest, "dtype": str(dtype).removeprefix("torch.")})


@torch.no_grad()
def round_weights(vae: VAE, dtype: torch.dtype) -> None:
    """Set each weight to what a file of that dtype gives back."""
    for tensor in vae.state_dict().values():
        tensor.copy_(tensor.to(dtype))


def save(vae: VAE, card: TorchCard, folder: Path) -> TorchCard:
    """Write weights, then the card with their hash and dtype; returns that card.

    Weights are stored in the card's weights.dtype.
    """
    weights = save_weights(vae, folder, getattr(torch, card.weights.dtype))
    card = card.model_copy(update={"weights": weights})
    write_card(card, folder)
    return card


def load(folder: Path, device: str | torch.device = "cpu") -> tuple[TorchCard, VAE]:
    """The model in a checkpoint folder, in float32 and in eval mode.

    Raises:
        CardError: card, hash, names or shapes of the weights disagree.
    """
    card = read_card(folder)
    if not isinstance(card, TorchCard):
        raise CardError(
            f"{folder}: it holds graphs ({', '.join(card.files)}), not weights of a family of ours"
        )
    verify_files(card, folder)
    shape, discrete = card.architecture.image_shape, card.architecture.discrete
    if card.input.shape != shape:
        raise CardError(f"{folder}: the card's input is {card.input.shape}, its architecture takes {shape}")
    if discrete != (card.input.binarisation == ONE_HOT):
        raise CardError(
            f"{folder}: the card's binarisation is {card.input.binarisation!r}; family "
            f"{card.architecture.family!r} takes {'only' if discrete else 'anything but'} {ONE_HOT!r}"
        )
    vae = build(card.architecture)
    _fill(vae, read_weights(folder), folder)
    return card, vae.to(device).eval()


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, in float32.

    Raises:
        CardError: not a safetensors file.
    """
    try:
        return {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS_FILE).items()}
    except SafetensorError as error:
        raise CardError(f"{folder / WEIGHTS_FILE}: {error}") from None


def _fill(vae: VAE, weights: dict[str, Tensor], folder: Path) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in vae.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wrong = [
        f"{name} should be {expected.get(name, 'absent')}, is {found.get(name, 'absent')}"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CardError(f"{folder}: weights do not fit the card's architecture: {'; '.join(wrong[:3])}{more}")
    broken = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if broken:
        raise CardError(f"{folder}: weights are not finite: {', '.join(broken[:3])}")
    vae.load_state_dict(weights)
