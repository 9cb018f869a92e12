"""openapi.json is what vae.proto says, and what the service answers."""

import json
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from rdserve.server.http.json_codec import decode_json, encode_json
from rdserve.v1 import vae_pb2 as v1

from tools import openapi

DOCUMENT = json.loads(openapi.PAGE.read_text())
METHODS = openapi.SERVICE.methods_by_name
F = FieldDescriptor
VALUES: dict[int, st.SearchStrategy[Any]] = {
    F.TYPE_STRING: st.text(max_size=5),
    F.TYPE_BOOL: st.booleans(),
    F.TYPE_BYTES: st.binary(max_size=5),
    F.TYPE_DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    F.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    F.TYPE_UINT32: st.integers(0, 2**32 - 1),
    F.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    F.TYPE_UINT64: st.integers(0, 2**64 - 1),
    F.TYPE_FIXED64: st.integers(0, 2**64 - 1),
}


def messages(kind: Descriptor) -> st.SearchStrategy[Message]:
    """Any message of a kind; Any itself stays empty, for it holds only what somebody packed."""
    if kind.full_name == "google.protobuf.Any":
        packed = v1.CompareResponse().error.details.add()
        packed.Pack(v1.GetModelRequest(model="m"))
        return st.just(packed)
    if kind.full_name == "google.protobuf.Struct":
        law = v1.Law()
        law.arguments.update({"levels": 5, "network_range": [0, 1]})
        return st.just(law.arguments)
    fields = st.fixed_dictionaries({}, optional={field.name: values(field) for field in kind.fields})
    return fields.map(lambda given: GetMessageClass(kind)(**_one_of(kind, given)))


def _one_of(kind: Descriptor, given: dict[str, Any]) -> dict[str, Any]:
    for group in kind.oneofs:
        for field in [field.name for field in group.fields if field.name in given][1:]:
            del given[field]
    return given


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == F.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        # Of text to text, all that there are.
        return st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)
    if field.type == F.TYPE_MESSAGE:
        one: st.SearchStrategy[Any] = messages(field.message_type)
    elif field.type == F.TYPE_ENUM:
        one = st.sampled_from([value.number for value in field.enum_type.values])
    else:
        one = VALUES[field.type]
    return st.lists(one, max_size=2) if field.is_repeated else one


def validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator({**DOCUMENT, "$ref": f"#/components/schemas/{kind}"})


def test_the_committed_file_is_fresh() -> None:
    assert openapi.text() == openapi.PAGE.read_text(), "run python tools/openapi.py"


def test_every_method_and_every_required_field_is_there() -> None:
    assert set(DOCUMENT["paths"]) == {f"/rdserve.v1.VaeService/{name}" for name in METHODS}
    assert DOCUMENT["components"]["schemas"]["ScoreRequest"]["required"] == ["model", "images"]
    for path in DOCUMENT["paths"].values():
        assert path["post"]["description"]
    Draft202012Validator.check_schema({**DOCUMENT, "$ref": "#/components/schemas/Model"})


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=64, deadline=None)
@given(data=st.data())
def test_what_is_answered_follows_it(method: str, data: st.DataObject) -> None:
    kind = METHODS[method].output_type
    message = data.draw(messages(kind))
    answer = encode_json(message)
    validator(kind.name).validate(json.loads(answer))
    assert decode_json(answer, type(message)) == message


def test_what_may_be_asked_follows_it_and_a_wrong_name_does_not() -> None:
    valid = {"model": "m", "images": [[[0, 1], [1, 0]]], "noise": {"seed": "18446744073709551615"}}
    validator("ScoreRequest").validate(valid)
    assert not validator("ScoreRequest").is_valid({**valid, "nope": 1})
    assert not validator("ScoreRequest").is_valid({"model": "m"})
