"""`rdserve import pythae`: what pythae saved, as a model that is served. It unpickles tensors alone."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdserve.data import Dataset
from rdserve.models.card_parts import LikelihoodLaw, Training
from rdserve.models.export.export import Exported, export
from rdserve.models.export.pythae_laws import PythaeModel, arguments_of, check_class
from rdserve.models.export.to_graph import ExportError

CONFIG_FILE, WEIGHTS_FILE = "model_config.json", "model.pt"

_OWN_CODE = """{folder}: {files} hold code of its author's, which rdserve does not run. In their process:
  from pythae.models import AutoModel; from rdserve import load
  from rdserve.models.export.pythae_folder import export_pythae
  export_pythae(AutoModel.load_from_folder("{folder}"), "{out}", load("{data}", split="{split}"))"""


class CodeInFolder(ExportError):
    """A folder that holds its author's code; the message, of several lines, says what to do with it."""


def export_pythae(
    model: PythaeModel,
    out: Path | str,
    x: object,
    *,
    likelihood: LikelihoodLaw | None = None,
    unit: str = "",
    **others: Any,
) -> Exported:
    """Write a model of pythae's, in memory, as a folder that `rdserve serve` takes.

    Args:
        model: of a class that has graphs; see docs/own_models.md.
        x: (N, ...) examples of the data; or a split, as `rdserve.load` gives it.
        likelihood: another law than that of its loss: bernoulli of "bce", normal of scale 1 of "mse".
        unit: of x, where the law is a density.
        others: as of `rdserve.export`.

    Raises:
        ExportError: as `rdserve.export`; or a class that is not served.
    """
    model.eval()
    shape = (x.x if isinstance(x, Dataset) else np.asarray(x)).shape[1:]
    given = arguments_of(model, shape, likelihood)
    facts = given | {"training": _training(model), "unit": unit} | others
    return export(out, x=x, **facts)


def read_pythae(folder: Path, *, out: Path, data: str, split: str) -> PythaeModel:
    """The model that a folder of pythae's holds, in eval mode.

    out, data, split: what the recipe says that is given for a folder with code in it.

    Raises:
        ExportError: the folder is not one of pythae's, its class is not served, or its weights are not its
            configuration's.
        CodeInFolder: it holds code.
        ImportError: pythae is not installed.
        OSError: a file cannot be read.
    """
    facts = _configuration(folder)
    kind = str(facts.pop("name", "")).removesuffix("Config").removesuffix("_")
    check_class(kind)
    if code := sorted(each.name for each in folder.glob("*.pkl")):
        raise CodeInFolder(
            _OWN_CODE.format(folder=folder, files=" and ".join(code), out=out, data=data, split=split)
        )
    weights = _weights(folder / WEIGHTS_FILE)
    from pythae import models

    config = getattr(models, f"{kind}Config", None) or getattr(models, f"{kind}_Config")
    try:
        model: PythaeModel = getattr(models, kind)(config(**facts))
        model.load_state_dict(weights)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ExportError(f"{folder}: {CONFIG_FILE} and {WEIGHTS_FILE} make no {kind}: {error}") from None
    return model.eval()


def _configuration(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ExportError(
            f"{folder}: no {CONFIG_FILE}: give the folder that model.save(...) of pythae wrote, or of a "
            "training its final_model"
        ) from None
    except ValueError as error:
        raise ExportError(f"{folder / CONFIG_FILE}: {error}") from None
    if not isinstance(found, dict):
        raise ExportError(f"{folder / CONFIG_FILE}: no JSON object")
    return found


def _weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ExportError(f"{path.parent}: no {path.name}, in which pythae saves the weights") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        first = str(error).strip().splitlines()[:1]
        raise ExportError(f"{path}: no file of tensors alone: {' '.join(first)}") from None
    if not isinstance(found, dict) or not isinstance(found.get("model_state_dict"), dict):
        raise ExportError(f"{path}: no 'model_state_dict' in it, in which pythae saves the weights")
    return dict(found["model_state_dict"])


def _training(model: PythaeModel) -> Training:
    """What the card remembers of how it was made: its class and the plain entries of its configuration."""
    config = vars(model.model_config)
    plain = {
        name: value
        for name, value in config.items()
        if isinstance(value, str | int | float | bool)
        and name != "name"
        and not name.startswith(("_", "uses_default"))
    }
    return {"library": "pythae", "class": type(model).__name__, **plain}
