"""Protobuf's JSON, and tensors typed as nested lists of numbers.

    {"model": "m", "images": [[[0, 1], [1, 0]]]}

in place of {"dtype": ..., "shape": [1, 2, 2], "data": base64}.
"""

import json
from typing import Any, NoReturn, TypeVar

import numpy as np
from google.protobuf.json_format import MessageToJson, ParseDict, ParseError
from google.protobuf.message import DecodeError, Message
from rdserve.server.errors import InvalidRequest
from rdserve.server.http.body import MAX_JSON_BYTES
from rdserve.v1 import vae_pb2 as v1

# Commas of one body; lists of numbers take about 0.2 microseconds each, during which nobody is answered.
MAX_VALUES = 2**18

M = TypeVar("M", bound=Message)


def decode_binary(data: bytes, kind: type[M]) -> M:
    """Raises InvalidRequest: no message of this kind."""
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InvalidRequest(
            f"the {len(data)} bytes of the request are no message of this method", field="request"
        ) from None


def encode_binary(message: Message) -> bytes:
    return message.SerializeToString()


def decode_json(data: bytes, kind: type[M]) -> M:
    """Raises InvalidRequest: too much, no JSON, or no message of this kind; the message says where."""
    given = load(data)
    try:
        tensors = {
            field.name: _tensor(field.name, given.pop(name))
            for field in kind.DESCRIPTOR.fields
            if field.message_type is v1.Tensor.DESCRIPTOR
            for name in (field.json_name, field.name)
            if isinstance(given.get(name), list)
        }
        message = ParseDict(given, kind())
        for name, tensor in tensors.items():
            getattr(message, name).CopyFrom(tensor)
    # As json_format fails: it forwards what Python's own conversions raise.
    except (ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidRequest(f"the request is no {kind.DESCRIPTOR.name}: {error}", field="request") from None
    return message


def load(data: bytes) -> dict[str, Any]:
    """A JSON object, strictly. Raises InvalidRequest."""
    if len(data) > MAX_JSON_BYTES:
        raise InvalidRequest(
            f"JSON has at most {MAX_JSON_BYTES} bytes, this has {len(data)}", field="request"
        )
    if (values := data.count(b",")) > MAX_VALUES:
        raise InvalidRequest(
            f"JSON holds at most {MAX_VALUES} values, this about {values}; "
            f"send arrays as base64 of their bytes, or application/proto",
            field="request",
        )
    try:
        given = json.loads(data, object_pairs_hook=_once, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the body is no JSON: {error}", field="request") from None
    if not isinstance(given, dict):
        raise InvalidRequest(
            f"the body is a JSON object, {{...}}, got {type(given).__name__}", field="request"
        )
    return given


def encode_json(message: Message) -> bytes:
    """On one line; fields at their default value are written too."""
    return MessageToJson(message, indent=None, always_print_fields_with_no_presence=True).encode()


def _tensor(name: str, rows: list[Any]) -> v1.Tensor:
    array = np.array(rows)
    if array.dtype.kind not in "biuf" and array.size:
        raise ValueError(f"{name} as a list holds numbers and lists of equal length only")
    if (
        name != "latents"
        and array.dtype.kind in "biu"
        and (not array.size or 0 <= array.min() <= array.max() < 256)
    ):
        kind, dtype = v1.DTYPE_UINT8, "u1"
    else:
        kind, dtype = v1.DTYPE_FLOAT64, "<f8"
    return v1.Tensor(dtype=kind, shape=array.shape, data=array.astype(dtype).tobytes())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for at, (name, _) in enumerate(pairs) if name in dict(pairs[:at]))
        raise ValueError(f"the name {twice[:128]!r} is there twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
