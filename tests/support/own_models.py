"""Small models that others might have made, for the engine of graphs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from rdserve.models.card_parts import TrainingData
from rdserve.models.export.export import Exported, export
from torch import Tensor, nn

DATA = TrainingData(name="made", sha256="0" * 64)


class Encoder(nn.Module):
    """Flat x -> mean and log variance."""

    def __init__(self, n_inputs: int, n_latents: int) -> None:
        super().__init__()
        self.loc = nn.Linear(n_inputs, n_latents)
        self.log_variance = nn.Linear(n_inputs, n_latents)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.flatten(1)
        return self.loc(flat), torch.tanh(self.log_variance(flat)) - 1


def made(folder: Path, x: Tensor, **changes: Any) -> Exported:
    """An exported model of two linear maps with random weights; `changes` are arguments of `export`."""
    torch.manual_seed(0)
    n = x[0].numel()
    given: dict[str, Any] = {
        "encoder": Encoder(n, 3),
        "decoder": nn.Linear(3, n),
        "likelihood": "bernoulli",
        "data": DATA,
    }
    return export(folder, x=x, **given | changes)


def bits(n: int = 12, *shape: int) -> Tensor:
    """(n, *shape) of 0s and 1s."""
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(n, *(shape or (2, 3)), generator=generator) < 0.4).float()


def graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    tensors: Mapping[str, np.ndarray[Any, Any]] | None = None,
    opset: int = 20,
) -> Path:
    """Write a graph by hand, float32 in and out."""
    made = helper.make_graph(
        list(nodes),
        "made",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(each, name) for name, each in (tensors or {}).items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path
