"""The Open Inference Protocol's JSON, with tensors in it or behind it (the binary extension)."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from rdserve.server.errors import InvalidRequest
from rdserve.server.grpc_api.inference.tensors import DTYPES
from rdserve.server.http.json_codec import load
from rdserve.v1 import inference_pb2 as oip

BINARY, ALL_BINARY, SIZE = "binary_data", "binary_data_output", "binary_data_size"
MAX_DIGITS = 19
SLICE = 4096
# By the type of the value in JSON; bool first, which Python counts among the integers.
PARAMETERS: dict[type, str] = {bool: "bool_param", str: "string_param", float: "double_param"}


class Form(NamedTuple):
    """Which outputs go behind the JSON: those named so, and of the others all or none."""

    named: dict[str, bool]
    others: bool

    def binary(self, name: str) -> bool:
        return self.named.get(name, self.others)


def fill_request(request: oip.ModelInferRequest, body: bytes, length: bytes) -> Form:
    """Fill an inference's request from its body; the form in which it asks for the answer.

    length: bytes of JSON, where tensors follow it.

    Raises InvalidRequest: no JSON, or none of the protocol; the message says where.
    """
    size = len(body)
    if length:
        if not length.isdigit() or len(length) > MAX_DIGITS or int(length) > size:
            raise _invalid(f"Inference-Header-Content-Length is a number up to the body's {size} bytes")
        size = int(length)
    given = load(body[:size])
    try:
        return _fill(request, given, _Tail(memoryview(body)[size:]))
    except (ParseError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise _invalid(f"the request is none of an inference: {error}") from None


def _fill(request: oip.ModelInferRequest, given: dict[str, Any], tail: "_Tail") -> Form:
    inputs, parameters = given.pop("inputs", []), given.pop("parameters", {})
    form = Form({}, parameters.pop(ALL_BINARY, False) is True)
    _set(request.parameters, parameters)
    for each in inputs:
        options = each.pop("parameters", {})
        data = each.pop("data", None)
        tensor = ParseDict(each, request.inputs.add())
        request.raw_input_contents.append(_data(tensor, data, options.pop(SIZE, None), tail))
    tail.check_end()
    for each in given.pop("outputs", []):
        options = each.pop("parameters", {})
        output = ParseDict(each, request.outputs.add())
        form.named[output.name] = options.pop(BINARY, form.others) is True
    # KServe's client says in the body too what the path says.
    for name in ("model_name", "model_version"):
        if (said := given.pop(name, None)) not in (None, "", getattr(request, name)):
            raise ValueError(f"{name} is {said!r}, and {getattr(request, name)!r} in the path")
    request.id = given.pop("id", None) or ""
    if given:
        raise ValueError(f"there is no {next(iter(given))[:128]!r}")
    return form


class _Tail:
    """What follows the JSON, taken from the front."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def take(self, size: object) -> bytes:
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(self._data):
            raise ValueError(f"{SIZE} {size!r} is not within the {len(self._data)} bytes that are left")
        taken, self._data = bytes(self._data[:size]), self._data[size:]
        return taken

    def check_end(self) -> None:
        if self._data:
            raise ValueError(f"{len(self._data)} bytes follow that belong to no input")


def _data(tensor: Any, data: object, size: object, tail: _Tail) -> bytes:
    if size is not None:
        return tail.take(size)
    if tensor.datatype not in DTYPES:
        raise ValueError(f"no datatype {tensor.datatype[:32]!r}; there are {', '.join(DTYPES)}")
    if not isinstance(data, list):
        raise ValueError(f"input {tensor.name[:128]!r} has neither data, a list, nor {SIZE}")
    return np.array(data, DTYPES[tensor.datatype]).tobytes()


def _set(into: Any, parameters: dict[str, Any]) -> None:
    for name, value in parameters.items():
        if type(value) is int:
            kind = "int64_param" if value < 2**63 else "uint64_param"
        elif type(value) in PARAMETERS:
            kind = PARAMETERS[type(value)]
        else:
            raise ValueError(f"parameter {name[:128]!r} is true, false, a number or text")
        setattr(into[name], kind, value)


def from_response(response: oip.ModelInferResponse, form: Form) -> tuple[bytes, list[bytes]]:
    """The JSON, and the tensors that follow it."""
    told = plain(response)
    told["parameters"] = {
        name: getattr(value, str(value.WhichOneof("parameter_choice")))
        for name, value in response.parameters.items()
    }
    raws, outputs, tensors = told.pop("raw_output_contents"), [], []
    for output, raw in zip(told.pop("outputs"), raws, strict=True):
        del output["contents"], output["parameters"]
        if form.binary(output["name"]):
            tensors.append(raw)
            outputs.append(json.dumps({**output, "parameters": {SIZE: len(raw)}}))
        else:
            outputs.append(_with_data(output, np.frombuffer(raw, DTYPES[output["datatype"]])))
    text = json.dumps(told).removesuffix("}")
    return f'{text}, "outputs": [{", ".join(outputs)}]}}'.encode(), tensors


def _with_data(output: dict[str, Any], values: Any) -> str:
    """An output with its values; a few at a time, so that other threads have their turns."""
    parts = (values[at : at + SLICE].tolist() for at in range(0, len(values), SLICE))
    data = ", ".join(json.dumps(part)[1:-1] for part in parts)
    return f'{json.dumps(output).removesuffix("}")}, "data": [{data}]}}'


def plain(message: Message) -> dict[str, Any]:
    """A message as the protocol's JSON has it: names as they are, every integer a number."""
    return dict(_members(message))


def _members(message: Message) -> Iterator[tuple[str, Any]]:
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            yield field.name, {}
        elif field.is_repeated:
            yield field.name, [_value(field, each) for each in value]
        else:
            yield field.name, _value(field, value)


def _value(field: Any, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return plain(value)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return field.enum_type.values_by_number[value].name
    return value


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, field="request")
