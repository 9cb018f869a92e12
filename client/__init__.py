"""Calls the service and compares what it serves. `Client` needs grpcio, protobuf and numpy only."""

from rdserve.client.client import Client
from rdserve.client.errors import InputError, RdserveError, ReplyError, ServiceError
from rdserve.client.results import (
    Decoding,
    Encoding,
    ModelInfo,
    Reconstruction,
    Reference,
    Sample,
    Score,
)
from rdserve.client.timing import Timing, timings

__all__ = [
    "Client",
    "Decoding",
    "Encoding",
    "InputError",
    "ModelInfo",
    "RdserveError",
    "Reconstruction",
    "Reference",
    "ReplyError",
    "Sample",
    "Score",
    "ServiceError",
    "Timing",
    "timings",
]
