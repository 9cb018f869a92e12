"""A torch module or function as an ONNX file, or the reason why it cannot be one."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from rdserve.models.card import sha256_of
from rdserve.models.card_parts import GraphSpec
from torch import Tensor, nn
from torch.distributions import Distribution

OPSET = 20
# Of an output, relative to its size, by the rows beside it.
ROW_TOLERANCE = 1e-3

Function = Callable[..., Tensor | tuple[Tensor, ...] | Mapping[str, Tensor]]


class ExportError(ValueError):
    """What was given is not exported; the message says why, and what to change."""


class NamedOutputs(nn.Module):
    """A module or function whose inputs and outputs have names, in order.

    modules: those that a function uses, so that their weights become the graph's.
    """

    def __init__(
        self,
        function: Function,
        inputs: Sequence[str],
        names: Sequence[str],
        modules: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.function, self.inputs, self.names = function, tuple(inputs), tuple(names)
        self.used = nn.ModuleList(modules)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        found = self.function(*inputs)
        if isinstance(found, Mapping):
            missing = [name for name in self.names if name not in found]
            if missing:
                raise ExportError(f"it returns {', '.join(found)}, not {', '.join(missing)}")
            return tuple(found[name] for name in self.names)
        found = (found,) if isinstance(found, Tensor) else tuple(found)
        if len(found) != len(self.names):
            raise ExportError(f"it returns {len(found)} tensors for the {len(self.names)} names {self.names}")
        return found


def write_graph(module: NamedOutputs, inputs: Mapping[str, Tensor], path: Path) -> GraphSpec:
    """Write the graph of a module that was called with these inputs, rows first in each.

    Raises:
        ExportError: it is no function of each row alone, or torch cannot write it down.
    """
    module.eval()
    with torch.no_grad():
        _check_rows(module, inputs, path.name)
        program = _exported(module, inputs, path.name)
    fixed = [
        each.name for each in program.model.graph.inputs if each.shape and isinstance(each.shape[0], int)
    ]
    if fixed:
        raise ExportError(
            f"{path.name}: the number of rows became a constant in input {fixed[0]!r}: write x.shape[0], not "
            "len(x) "
            "or a number, in reshape and view"
        )
    program.save(str(path), external_data=False)
    return GraphSpec(file=path.name, sha256=sha256_of(path), outputs=module.names)


def _check_rows(module: NamedOutputs, inputs: Mapping[str, Tensor], file: str) -> None:
    try:
        first, again = module(*inputs.values()), module(*inputs.values())
        alone = module(*(each[:1] for each in inputs.values()))
    except ExportError as error:
        raise ExportError(f"{file}: {error}") from None
    except Exception as error:
        shapes = ", ".join(f"{name} {tuple(each.shape)} {each.dtype}" for name, each in inputs.items())
        raise ExportError(
            f"{file}: it fails on {shapes}: {_cause(error)}. Graphs compute in float32: call .float() first"
        ) from error
    n = len(next(iter(inputs.values())))
    for name, here, there, single in zip(module.names, first, again, alone, strict=True):
        if not torch.equal(here, there):
            raise ExportError(
                f"{file}: two calls with one input give different {name!r}: it draws its own noise (dropout "
                "in train "
                "mode, randn). Return the law's parameters, or take the noise as the input eps"
            )
        if here.dtype in (torch.bfloat16, torch.float16):
            raise ExportError(f"{file}: output {name!r} is {here.dtype}; call .float() on the module first")
        if not len(here) == n:
            raise ExportError(f"{file}: output {name!r} has {len(here)} rows for {n} inputs; rows come first")
        if (here[:1] - single).abs().max() > ROW_TOLERANCE * (1 + single.abs().max()):
            raise ExportError(
                f"{file}: {name!r} of a row depends on the rows beside it: batch statistics (BatchNorm in "
                "train "
                "mode), or a function of the whole batch"
            )


def _exported(module: NamedOutputs, inputs: Mapping[str, Tensor], file: str) -> torch.onnx.ONNXProgram:
    rows = torch.export.Dim("n", min=1, max=2**20)
    with _quiet(), _unchecked_laws():
        try:
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                dynamo=True,
                dynamic_shapes={"inputs": tuple({0: rows} for _ in inputs)},
                input_names=list(inputs),
                output_names=list(module.names),
                opset_version=OPSET,
                verbose=False,
            )
        except ExportError:
            raise
        except Exception as error:
            raise ExportError(f"{file}: torch cannot write it as a graph: {_cause(error)}") from error
    assert program is not None
    return program


def _cause(error: BaseException) -> str:
    """The innermost reason, in its first lines; torch wraps it in pages."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = " ".join(lines[:2])[:300]
    if "grad" in said and "autograd" in said:
        said += " (a gradient inside forward has no graph: such a model is not served)"
    return f"{type(error).__name__}: {said}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _unchecked_laws() -> Iterator[None]:
    """Without what torch's laws check of their arguments: that looks at values, which a graph has not."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)
