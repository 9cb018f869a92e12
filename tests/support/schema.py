"""What a .proto promises its clients, as facts that two versions of it can be compared by."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

# google/protobuf, which every protoc brings.
WELL_KNOWN = str(files("grpc_tools") / "_proto")


def compile_proto(name: str, out: Path, *includes: Path) -> FileDescriptorProto:
    """The file of this name in the first of the folders that has it; `out` is written over."""
    folders = [f"-I{folder}" for folder in (*includes, WELL_KNOWN)]
    assert protoc.main(["protoc", *folders, f"--descriptor_set_out={out}", name]) == 0
    (file,) = FileDescriptorSet.FromString(out.read_bytes()).file
    return file


def breaks(old: FileDescriptorProto, new: FileDescriptorProto) -> list[str]:
    """What a client of `old` may rely on and `new` does not give; empty where it goes on working."""
    before, now = dict(_facts(old)), dict(_facts(new))
    changed = [
        f"{name}: was {fact}, is {now.get(name, 'gone')}"
        for name, fact in before.items()
        if now.get(name) != fact
    ]
    return changed + [f"{name} became required" for name in sorted(_required(new) - _required(old))]


def _facts(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    yield "package", file.package
    for message in file.message_type:
        yield from _of_message(message, file.package)
    for enum in file.enum_type:
        yield from _of_enum(enum, file.package)
    for service in file.service:
        yield from _of_service(service, file.package)


def _of_message(message: DescriptorProto, scope: str) -> Iterator[tuple[str, str]]:
    name = f"{scope}.{message.name}"
    yield name, "message"
    for field in message.field:
        yield f"{name}, number {field.number}", _of_field(field, message)
    for nested in message.nested_type:
        yield from _of_message(nested, name)
    for enum in message.enum_type:
        yield from _of_enum(enum, name)


def _of_field(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    label = FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
    kind = field.type_name or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
    place = f" in oneof {oneof}" if oneof else ""
    return f"{label} {kind} {field.name} (JSON {field.json_name or field.name}){place}"


def _of_enum(enum: EnumDescriptorProto, scope: str) -> Iterator[tuple[str, str]]:
    yield f"{scope}.{enum.name}", "enum"
    for value in enum.value:
        yield f"{scope}.{enum.name}.{value.name}", str(value.number)


def _of_service(service: ServiceDescriptorProto, scope: str) -> Iterator[tuple[str, str]]:
    for method in service.method:
        stream = ("", "stream ")
        takes = f"{stream[method.client_streaming]}{method.input_type}"
        gives = f"{stream[method.server_streaming]}{method.output_type}"
        yield f"{scope}.{service.name}.{method.name}", f"{takes} -> {gives}"


def _required(file: FileDescriptorProto) -> set[str]:
    return {
        f"{message.name}.{field.name}"
        for message in file.message_type
        for field in message.field
        if field_behavior_pb2.REQUIRED in field.options.Extensions[field_behavior_pb2.field_behavior]
    }
