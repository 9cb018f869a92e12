"""OpenAPI 3.1 of the HTTP port, from the descriptors and comments of vae.proto.

    python tools/openapi.py    # write server/http/openapi.json again

No generator of it is on PyPI or npm. protoc alone keeps comments, so it is run once more for them.
"""

import json
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import status_pb2  # noqa: F401 - describes what vae.proto imports
from grpc_tools import protoc
from rdserve.v1 import vae_pb2

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "server" / "http" / "openapi.json"
PROTO = "rdserve/v1/vae.proto"
FILE = vae_pb2.DESCRIPTOR
SERVICE = FILE.services_by_name["VaeService"]

Schema = dict[str, Any]
F = FieldDescriptor
# int64 is text in protobuf's JSON, so that no reader rounds it; numbers are taken too.
LONG: Schema = {"type": ["string", "integer"]}
SCALARS: dict[int, Schema] = {
    F.TYPE_STRING: {"type": "string"},
    F.TYPE_BOOL: {"type": "boolean"},
    F.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    F.TYPE_DOUBLE: {"type": "number", "format": "double"},
    F.TYPE_FLOAT: {"type": "number", "format": "float"},
    F.TYPE_INT32: {"type": "integer", "format": "int32"},
    F.TYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    F.TYPE_INT64: {**LONG, "format": "int64"},
    F.TYPE_UINT64: {**LONG, "format": "uint64"},
    F.TYPE_FIXED64: {**LONG, "format": "uint64"},
}
# Any, in protobuf's JSON.
ANY: Schema = {"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]}
# What JSON of protobuf writes in forms of their own.
WELL_KNOWN: dict[str, Schema] = {"google.protobuf.Any": ANY, "google.protobuf.Struct": {"type": "object"}}
NESTED: Schema = {"type": "array", "items": {}}
TYPED = "As nested lists: images of whole numbers 0 to 255, latents of any. Or as a Tensor."
HEADERS = {
    "rdserve-reason": "What went wrong, in one word of a closed list.",
    "retry-after": "Seconds after which the same may succeed; absent where it never will.",
    "x-request-id": "What the caller sent, or a new one; the service's log has it.",
}
ERROR: Schema = {
    "type": "object",
    "description": "A Connect error; `details` are messages of google.rpc, as gRPC has them.",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "details": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "value"],
                "properties": {
                    "type": {"type": "string"},
                    "value": {"type": "string", "contentEncoding": "base64"},
                },
            },
        },
    },
}
DEADLINE = {
    "name": "Connect-Timeout-Ms",
    "in": "header",
    "description": "The caller's deadline, in milliseconds.",
    "schema": {"type": "integer", "minimum": 0},
}


def comments() -> dict[tuple[int, ...], str]:
    """What vae.proto says of each thing, by its path among the descriptors."""
    includes = (f"-I{ROOT / 'proto'}", f"-I{files('grpc_tools') / '_proto'}")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        done = protoc.main(["protoc", *includes, f"-o{out}", "--include_source_info", PROTO])
        assert done == 0, f"protoc: {done}"
        (file,) = FileDescriptorSet.FromString(out.read_bytes()).file
    said = {}
    for place in file.source_code_info.location:
        detached = "\n".join(place.leading_detached_comments)
        text = place.leading_comments or place.trailing_comments or detached
        if text and "buf:lint" not in text:
            said[tuple(place.path)] = " ".join(text.split())
    return said


class Document:
    """The parts of the document, described as they are met."""

    def __init__(self) -> None:
        self._said = comments()
        self._schemas: dict[str, Schema] = {"Error": ERROR}
        self._messages = list(FILE.message_types_by_name)
        self._enums = list(FILE.enum_types_by_name)

    def build(self) -> Schema:
        paths = {
            f"/{SERVICE.full_name}/{method.name}": {"post": self._method(at, method)}
            for at, method in enumerate(SERVICE.methods)
        }
        return {
            "openapi": "3.1.0",
            "info": {"title": SERVICE.full_name, "version": "1", "description": self._said.get((12,), "")},
            "security": [{"bearer": []}, {}],
            "paths": paths,
            "components": {
                "schemas": dict(sorted(self._schemas.items())),
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            },
        }

    def _method(self, at: int, method: MethodDescriptor) -> Schema:
        takes, gives = self._ref(method.input_type), self._ref(method.output_type)
        packed: Schema = {"schema": {"description": "The message in binary protobuf."}}
        if method.server_streaming:
            answer = "Messages as they are made, each on a line of its own."
            takes_as = {"application/json": {"schema": takes}, "application/connect+proto": packed}
            gives_as = {"application/x-ndjson": {"schema": gives}, "application/connect+proto": packed}
        else:
            answer = "The answer."
            takes_as = {"application/json": {"schema": takes}, "application/proto": packed}
            gives_as = {"application/json": {"schema": gives}, "application/proto": packed}
        headers = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in HEADERS.items()
        }
        failed = {
            "description": "An error.",
            "headers": headers,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        return {
            "operationId": method.name,
            **self._says(6, 0, 2, at),
            "parameters": [DEADLINE],
            "requestBody": {"required": True, "content": takes_as},
            "responses": {"200": {"description": answer, "content": gives_as}, "default": failed},
        }

    def _ref(self, kind: Descriptor) -> Schema:
        """A reference to a message's schema, which is described now if it has not been."""
        if kind.full_name in WELL_KNOWN:
            return WELL_KNOWN[kind.full_name]
        name = kind.full_name.removeprefix(f"{FILE.package}.")
        if name not in self._schemas:
            self._schemas[name] = {}
            self._schemas[name] = self._message(kind)
        return {"$ref": f"#/components/schemas/{name}"}

    def _message(self, kind: Descriptor) -> Schema:
        place = (4, self._messages.index(kind.name)) if kind.file.name == PROTO else ()
        properties = {
            field.json_name: self._field(field) | (self._says(*place, 2, at) if place else {})
            for at, field in enumerate(kind.fields)
        }
        behaviour = field_behavior_pb2.field_behavior
        required = [
            field.json_name
            for field in kind.fields
            if field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[behaviour]
        ]
        return {
            "type": "object",
            **(self._says(*place) if place else {}),
            "properties": properties,
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }

    def _field(self, field: FieldDescriptor) -> Schema:
        if field.type == F.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            return {"type": "object", "additionalProperties": self._field(value)}
        if field.type == F.TYPE_ENUM:
            schema = self._enum(field.enum_type)
        elif field.type == F.TYPE_MESSAGE:
            schema = self._ref(field.message_type)
            if field.message_type.name == "Tensor" and field.containing_type.name.endswith("Request"):
                schema = {"anyOf": [schema, {**NESTED, "description": TYPED}]}
        else:
            schema = SCALARS[field.type]
        return {"type": "array", "items": schema} if field.is_repeated else dict(schema)

    def _enum(self, kind: EnumDescriptor) -> Schema:
        place, values = (5, self._enums.index(kind.name)), [value.name for value in kind.values]
        said = [self._said.get(place, ""), *(self._value(*place, at) for at in range(len(values)))]
        says = {"description": " ".join(filter(None, said))} if any(said) else {}
        self._schemas[kind.name] = {"type": "string", **says, "enum": values}
        return {"$ref": f"#/components/schemas/{kind.name}"}

    def _value(self, *place: int) -> str:
        """What is said of an enum's value, the last of the place, under its name."""
        *enum, at = place
        said = self._said.get((*enum, 2, at))
        return f"{FILE.enum_types_by_name[self._enums[enum[1]]].values[at].name}: {said}" if said else ""

    def _says(self, *path: int) -> Schema:
        return {"description": self._said[path]} if path in self._said else {}


def text() -> str:
    """server/http/openapi.json as it should be."""
    return json.dumps(Document().build(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text())
