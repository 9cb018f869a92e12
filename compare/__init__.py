"""Models side by side: statistics over per-example arrays, figures, files. Stands on `rdserve.client`."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdserve.compare.api import compare
    from rdserve.compare.comparison import Comparison

__all__ = ["Comparison", "compare"]

_HOMES = {"compare": "rdserve.compare.api", "Comparison": "rdserve.compare.comparison"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'rdserve.compare' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        raise ImportError(f"rdserve.compare needs {error.name}; pip install 'rdserve[compare]'") from error
