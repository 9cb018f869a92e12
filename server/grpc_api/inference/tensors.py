"""The protocol's tensors and parameters <-> VaeService's messages.

Names and shapes are translated, no value.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from google.protobuf.message import Message
from rdserve.server.errors import InvalidRequest
from rdserve.server.grpc_api.inference.operations import SCORES, ServedOperation
from rdserve.v1 import inference_pb2 as oip
from rdserve.v1 import vae_pb2 as v1
from rdserve.wire.tensors import to_message

# As the protocol lays their bytes out.
DTYPES = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "INT32": np.dtype("<i4"),
    "UINT32": np.dtype("<u4"),
    "INT64": np.dtype("<i8"),
    "UINT64": np.dtype("<u8"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "INT32": "int_contents",
    "UINT32": "uint_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
# What VaeService takes as rows; a BOOL is a byte of 0 or 1.
_ROWS = {
    "BOOL": v1.DTYPE_UINT8,
    "UINT8": v1.DTYPE_UINT8,
    "UINT16": v1.DTYPE_UINT16,
    "INT32": v1.DTYPE_INT32,
    "FP32": v1.DTYPE_FLOAT32,
    "FP64": v1.DTYPE_FLOAT64,
}
_ANSWERED = {
    v1.DTYPE_UINT8: "UINT8",
    v1.DTYPE_UINT16: "UINT16",
    v1.DTYPE_INT32: "INT32",
    v1.DTYPE_FLOAT32: "FP32",
    v1.DTYPE_FLOAT64: "FP64",
}
COUNTS = ("n_samples", "n_latents")
# Clients of the protocol set these by themselves; none of them changes an answer here.
IGNORED = {"sequence_id", "sequence_start", "sequence_end", "priority", "timeout"}

Parameters = dict[str, bool | int | float | str]


def parameters(request: oip.ModelInferRequest) -> Parameters:
    """Those of a request that mean something. Raises InvalidRequest: one that does not, or has no value."""
    given: Parameters = {}
    for name, value in request.parameters.items():
        kind = value.WhichOneof("parameter_choice")
        if kind is None or name not in ("operation", "seed", *COUNTS, *IGNORED):
            known = ", ".join(("operation", "seed", *COUNTS))
            raise InvalidRequest(
                f"no parameter {name[:128]!r} with a value; there are {known}", field="parameters"
            )
        if name not in IGNORED:
            given[name] = getattr(value, kind)
    return given


def to_request(
    operation: ServedOperation, model: str, infer: oip.ModelInferRequest, given: Parameters
) -> Any:
    """The request of VaeService that an inference asks for.

    Raises InvalidRequest: an input that the operation does not take, or one of another type.
    """
    request = operation.request(model=model)
    for name in COUNTS:
        if name in given:
            if name not in request.DESCRIPTOR.fields_by_name:
                raise InvalidRequest(f"{operation.name} takes no {name}", field="parameters")
            setattr(request, name, _count(name, given[name], 2**32 - 1))
    if "seed" in given:
        request.noise.seed = _count("seed", given["seed"], 2**64 - 1)
    found = dict(_inputs(infer))
    if operation.rows:
        _set_rows(getattr(request, operation.rows), operation, found.pop(operation.rows, None))
    elif "n_latents" not in given:
        request.n_latents = 1
    _set_noise(request.noise, found)
    if found:
        raise InvalidRequest(
            f"{operation.name} takes no input {next(iter(found))[:128]!r}; it takes "
            f"{', '.join(filter(None, (operation.rows, 'seed', 'example_ids')))}",
            field="inputs",
        )
    return request


def _set_rows(into: v1.Tensor, operation: ServedOperation, given: tuple[Any, bytes] | None) -> None:
    if given is None:
        raise InvalidRequest(f"{operation.name} needs an input {operation.rows!r}", field="inputs")
    tensor, data = given
    if tensor.datatype not in _ROWS:
        raise InvalidRequest(
            f"{tensor.name} are {', '.join(_ROWS)}, got {tensor.datatype[:32]!r}", field=tensor.name
        )
    into.dtype = _ROWS[tensor.datatype]
    into.shape.extend(tensor.shape)
    into.data = data


def _set_noise(noise: v1.NoiseKeys, found: dict[str, tuple[Any, bytes]]) -> None:
    """A seed for all rows or one for each, and ids."""
    if "seed" in found:
        seeds = _ids(*found.pop("seed"))
        if len(seeds) == 1:
            noise.seed = seeds[0]
        else:
            noise.row_seeds.extend(seeds)
    if "example_ids" in found:
        noise.example_ids.extend(_ids(*found.pop("example_ids")))


def _ids(tensor: Any, data: bytes) -> list[int]:
    if tensor.datatype not in ("UINT64", "INT64"):
        raise InvalidRequest(
            f"{tensor.name} is UINT64 or INT64, got {tensor.datatype[:32]!r}", field=tensor.name
        )
    if len(data) % 8 or len(tensor.shape) != 1 or tensor.shape[0] != len(data) // 8:
        raise InvalidRequest(
            f"{tensor.name} of shape {list(tensor.shape[:8])} has {len(data)} bytes; each entry takes 8",
            field=tensor.name,
        )
    values: list[int] = np.frombuffer(data, DTYPES[tensor.datatype]).tolist()
    if min(values, default=0) < 0:
        raise InvalidRequest(f"{tensor.name} holds {min(values)}, which is below 0", field=tensor.name)
    return values


def _inputs(infer: oip.ModelInferRequest) -> Iterator[tuple[str, tuple[Any, bytes]]]:
    """Each input by name, with its bytes."""
    names = [tensor.name for tensor in infer.inputs]
    if len(set(names)) < len(names):
        raise InvalidRequest("an input is there twice", field="inputs")
    raw = infer.raw_input_contents
    if raw and (len(raw) != len(infer.inputs) or any(each.HasField("contents") for each in infer.inputs)):
        raise InvalidRequest(
            f"{len(raw)} raw_input_contents for {len(infer.inputs)} inputs; one for each, and no contents",
            field="raw_input_contents",
        )
    for at, tensor in enumerate(infer.inputs):
        yield tensor.name, (tensor, raw[at] if raw else _typed(tensor))


def _typed(tensor: Any) -> bytes:
    """The bytes of contents that are typed."""
    if tensor.datatype not in _CONTENTS:
        raise InvalidRequest(
            f"{tensor.name[:128]}: no datatype {tensor.datatype[:32]!r}; there are {', '.join(DTYPES)}",
            field="inputs",
        )
    values = getattr(tensor.contents, _CONTENTS[tensor.datatype])
    try:
        return np.array(values, DTYPES[tensor.datatype]).tobytes()
    except OverflowError as error:
        raise InvalidRequest(f"{tensor.name[:128]}: {error}", field="inputs") from None


def _count(name: str, value: bool | float | str, most: int) -> int:
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if not text.isascii() or not text.isdigit() or len(text) > 20 or int(text) > most:
        raise InvalidRequest(f"{name} is a whole number up to {most}, got {text[:32]!r}", field="parameters")
    return int(text)


def fill(
    response: oip.ModelInferResponse,
    answer: Message,
    infer: oip.ModelInferRequest,
    operation: ServedOperation,
) -> None:
    """Put VaeService's answer, as far as it was asked for, into a response.

    Raises InvalidRequest: an output was asked for that the operation does not give.
    """
    given = {name: (datatype, shape, raw) for name, datatype, shape, raw in _outputs(answer)}
    wanted = [output.name for output in infer.outputs] or list(given)
    for name in wanted:
        if name not in given:
            raise InvalidRequest(
                f"{operation.name} gives no output {name[:128]!r}; it gives {', '.join(given)}",
                field="outputs",
            )
        datatype, shape, raw = given[name]
        response.outputs.add(name=name, datatype=datatype, shape=shape)
        response.raw_output_contents.append(raw)
    if isinstance(answer, v1.ScoreResponse):
        response.parameters["rate_is_exact"].bool_param = answer.rate_is_exact


def _outputs(answer: Message) -> Iterator[tuple[str, str, list[int], bytes]]:
    for field in answer.DESCRIPTOR.fields:
        value = getattr(answer, field.name)
        if field.name in SCORES:
            value = to_message(np.array(value, np.float64))
        elif not isinstance(value, v1.Tensor):
            continue
        yield field.name, _ANSWERED[value.dtype], list(value.shape), value.data
