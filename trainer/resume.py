"""Where a run stands, in one file: safetensors, with the rest as JSON in its header. Replaced atomically."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rdserve.models.reference import Means
from rdserve.trainer.config import ConfigError, differences, parse
from rdserve.trainer.run import Best, EpochMeans, TrainingRun
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

FILE = "training.safetensors"
FORMAT = "rdserve-training/1"


class StateError(ValueError):
    """A state file that cannot be read."""


def save(run: TrainingRun, folder: Path) -> None:
    """Write the state: a reader, or a resumed run, sees the old one or the new one."""
    draft = folder / f".{FILE}.draft"
    head = {
        "format": FORMAT,
        "config": run.config.as_dict(),
        "step": run.step,
        "best": run.best and {"objective": run.best.objective, "epoch": run.best.epoch},
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(run).items()}
    save_file(tensors, draft, metadata={"rdserve": json.dumps(head)})
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(folder / FILE)


def restore(run: TrainingRun, folder: Path) -> bool:
    """Bring a run just begun to where the state in the folder stands; False where there is none.

    Raises:
        ConfigError: the state is of a run with another config; more epochs than it was to have are no other.
        StateError: the file is not a state, or one of another version of the trainer.
    """
    path = folder / FILE
    if not path.is_file():
        return False
    head = read_head(path)
    there = parse(head["config"])
    if there.epochs < run.config.epochs:
        there = replace(there, epochs=run.config.epochs)
    if different := differences(there, run.config):
        raise ConfigError(
            f"{folder} holds another run: {'; '.join(different)}. "
            f"Ask for the same, train elsewhere, or delete {path}"
        )
    with safe_open(path, "pt", device=str(run.device)) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    try:
        _fill(run, head, tensors)
    except (KeyError, RuntimeError) as error:  # torch's word for tensors that are not a module's
        raise StateError(
            f"{path} was written by another version of the trainer, and its tensors are others "
            f"({' '.join(str(error).split())}); finish it with that version, or delete it to start again"
        ) from error
    return True


def read_head(path: Path) -> dict[str, Any]:
    """The state without its tensors: `config` as a dict, `step`.

    Raises:
        StateError: the file is not a state.
    """
    try:
        with safe_open(path, "pt") as file:
            head: dict[str, Any] = json.loads((file.metadata() or {}).get("rdserve", "{}"))
    except (SafetensorError, json.JSONDecodeError) as error:
        raise StateError(f"{path} is damaged ({error}); delete it to start again") from error
    if head.get("format") != FORMAT:
        raise StateError(f"{path} has format {head.get('format')!r}, not {FORMAT!r}")
    return head


def _tensors(run: TrainingRun) -> dict[str, Tensor]:
    """Every tensor of a run, its names prefixed by what it belongs to."""
    slots = run.optimiser.state_dict()["state"]
    return {
        "totals": run.totals,
        "history": _as_tensor(run.history),
        **_prefixed("model", run.vae.state_dict()),
        **_prefixed("objective", run.objective.state_dict()),
        **_prefixed("average", run.average.state_dict() if run.average else {}),
        **_prefixed("best", run.best.weights if run.best else {}),
        **_prefixed("optimiser", {f"{i}.{name}": slots[i][name] for i in slots for name in slots[i]}),
    }


def _fill(run: TrainingRun, head: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    run.step = head["step"]
    run.totals.copy_(tensors["totals"])
    run.history[:] = _as_epochs(tensors.get("history", torch.zeros(0, 5)))  # older states have none
    run.vae.load_state_dict(_of("model", tensors))
    run.objective.load_state_dict(_of("objective", tensors))
    if run.average:
        run.average.load_state_dict(_of("average", tensors))
    if head["best"]:
        run.best = Best(**head["best"], weights=_of("best", tensors))
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _of("optimiser", tensors).items():
        index, slot = name.split(".")
        slots.setdefault(int(index), {})[slot] = tensor
    groups = run.optimiser.state_dict()["param_groups"]
    run.optimiser.load_state_dict({"state": slots, "param_groups": groups})
    for parameter, moments in run.optimiser.state.items():
        for slot, tensor in moments.items():
            if tensor.shape == parameter.shape:  # the fused step walks both in the order of memory
                moments[slot] = torch.empty_like(parameter).copy_(tensor)


def _as_tensor(history: list[EpochMeans]) -> Tensor:
    """(E, 5) float64: epoch, then rate and distortion of both splits."""
    rows = [[each.epoch, *each.train, *each.valid] for each in history]
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)


def _as_epochs(rows: Tensor) -> list[EpochMeans]:
    return [EpochMeans(int(n), Means(a, b), Means(c, d)) for n, a, b, c, d in rows.tolist()]


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _of(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
