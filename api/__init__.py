"""Serve latent-variable models, and compare them where an ELBO cannot: in the rate-distortion plane.

    from rdserve import Client, load          # the service's client; a data set's split
    from rdserve.compare import compare       # models side by side
    from rdserve import export                # torch modules of your own, as a model that is served

Nothing is imported before it is asked for: the client alone needs grpcio, protobuf and numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdserve.client import AsyncClient, Client
    from rdserve.compare import Comparison
    from rdserve.data import load
    from rdserve.models.export.export import export

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "Comparison", "__version__", "export", "load"]

_HOMES = {
    "AsyncClient": "rdserve.client",
    "Client": "rdserve.client",
    "Comparison": "rdserve.compare",
    "export": "rdserve.models.export.export",
    "load": "rdserve.data",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'rdserve' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
