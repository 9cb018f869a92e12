"""A graph as ONNX Runtime runs it: tensors by name in, tensors by name out; on one thread, on a CPU."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from rdserve.models.cancellation import Abandoned
from rdserve.models.onnx.watch import WATCH
from torch import Tensor

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
}
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation")


class GraphError(ValueError):
    """A file that is no graph of the contract, or that does not run; the message names the file."""


class Graph:
    """One graph.

    outputs: what the card calls them, in the graph's order.

    Raises:
        GraphError: no graph, an input that the contract does not know, or other outputs than named.
    """

    def __init__(self, path: Path, outputs: Sequence[str]) -> None:
        self.path = path
        self.outputs = tuple(outputs)
        try:
            self._session = ort.InferenceSession(path.read_bytes(), _options(), ["CPUExecutionProvider"])
        except OSError as error:
            raise GraphError(f"{path.name}: cannot read it: {error.strerror}") from None
        except Exception as error:  # ONNX Runtime's exceptions share no class of their own
            raise GraphError(f"{path.name}: no graph that ONNX Runtime loads: {_last_line(error)}") from None
        self._dtypes = {each.name: _dtype(path, each.name, each.type) for each in self._session.get_inputs()}
        found = len(self._session.get_outputs())
        if found != len(self.outputs):
            raise GraphError(
                f"{path.name}: the card names {len(self.outputs)} outputs ({', '.join(self.outputs)}), "
                f"the graph has {found}"
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._dtypes)

    def __call__(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Outputs by name, floats as float64; rows first in all.

        Raises:
            GraphError: the graph does not run on these.
            MemoryError: memory ran out.
            Abandoned: nobody waits any more.
        """
        fed = {name: inputs[name].contiguous().numpy().astype(dtype) for name, dtype in self._dtypes.items()}
        options = ort.RunOptions()
        with WATCH.over(options) as watched:
            try:
                results = self._session.run(None, fed, options)
            except Exception as error:
                if watched.ended:
                    raise Abandoned from None
                raise _named(error, self.path) from None
        return {
            name: _floats(torch.from_numpy(np.asarray(each)))
            for name, each in zip(self.outputs, results, strict=True)
        }


def _options() -> ort.SessionOptions:
    """With one arena for all sessions of the process: each of its own takes 26 MB for a small model."""
    _share_an_arena()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Weights rearranged for speed are a second copy of them.
    options.add_session_config_entry("session.disable_prepacking", "1")
    return options


@cache
def _share_an_arena() -> None:
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    # Grows by what is asked for, rather than by powers of two.
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg({"arena_extend_strategy": 1}))


def _dtype(path: Path, name: str, kind: str) -> type[np.generic]:
    if kind not in _DTYPES:
        raise GraphError(f"{path.name}: input {name!r} is {kind}; the contract takes {', '.join(_DTYPES)}")
    return _DTYPES[kind]


def _floats(values: Tensor) -> Tensor:
    return values.double() if values.is_floating_point() else values


def _named(error: Exception, path: Path) -> Exception:
    words = str(error)
    if isinstance(error, MemoryError) or any(word in words for word in _OUT_OF_MEMORY):
        return MemoryError(f"{path.name}: {_last_line(error)}")
    return GraphError(f"{path.name}: {_last_line(error)}")


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][-300:] if lines else type(error).__name__
