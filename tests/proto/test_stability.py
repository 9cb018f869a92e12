"""rdserve.v1 changes only by addition; proto/ alone is enough to make a client of it.

`released/` holds vae.proto as the last release had it. A release copies it anew; see CONTRIBUTING.md.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc import status_pb2
from schema import breaks, compile_proto

ROOT = Path(__file__).parent.parent.parent
PROTO, RELEASED = ROOT / "proto", Path(__file__).parent / "released"
VAE = "rdserve/v1/vae.proto"
BUF = shutil.which("buf")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorProto:
    return compile_proto(VAE, tmp_path_factory.mktemp("released") / "set", RELEASED, PROTO)


def test_clients_of_the_last_release_go_on_working(released: FileDescriptorProto, tmp_path: Path) -> None:
    assert breaks(released, compile_proto(VAE, tmp_path / "set", PROTO)) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("package rdserve.v1;", "package rdserve.v2;", "package: was rdserve.v1, is rdserve.v2"),
        ("string data_name = 12;", "", "rdserve.v1.Model, number 12: was optional string data_name"),
        ("string data_name = 12;", "string dataset = 12;", r"is optional string dataset \(JSON dataset\)"),
        ("string data_name = 12;", "string data_name = 999;", "number 12: .*, is gone"),
        ("string data_name = 12;", "bytes data_name = 12;", "is optional bytes data_name"),
        ("string data_name = 12;", "repeated string data_name = 12;", "is repeated string data_name"),
        ("string data_name = 12;", "optional string data_name = 12;", "in oneof _data_name"),
        ("DTYPE_UINT8 = 3;", "DTYPE_UINT8 = 5;", r"rdserve.v1.DType.DTYPE_UINT8: was 3, is 5"),
        ("MODEL_STATE_FAILED = 3;", "", "rdserve.v1.ModelState.MODEL_STATE_FAILED: was 3, is gone"),
        ("(stream SampleResponse)", "(SampleResponse)", "VaeService.Sample: was .* -> stream "),
        ("rpc Encode(EncodeRequest)", "rpc Encode(DecodeRequest)", "VaeService.Encode: was .rdserve.v1.Enc"),
        ("rpc Encode(", "rpc Embed(", "VaeService.Encode: .*, is gone"),
        ("NoiseKeys noise = 3;", "NoiseKeys noise = 3 [(google.api.field_behavior) = REQUIRED];", "required"),
    ],
)
def test_what_would_break_a_client_is_found(tmp_path: Path, old: str, new: str, found: str) -> None:
    text = (PROTO / VAE).read_text()
    assert old in text
    (tmp_path / VAE).parent.mkdir(parents=True)
    (tmp_path / VAE).write_text(text.replace(old, new))
    changed = breaks(
        compile_proto(VAE, tmp_path / "old", PROTO), compile_proto(VAE, tmp_path / "new", tmp_path, PROTO)
    )
    assert re.search(found, "\n".join(changed))


def test_additions_break_nobody(tmp_path: Path) -> None:
    text = (PROTO / VAE).read_text()
    text = text.replace("string data_name = 12;", "string data_name = 12;\n  string comment = 1000;")
    text = text.replace("MODEL_STATE_FAILED = 3;", "MODEL_STATE_FAILED = 3;\n  MODEL_STATE_ASLEEP = 4;")
    text = text.replace("rpc Encode(", "rpc Embed(EncodeRequest) returns (EncodeResponse);\n  rpc Encode(")
    (tmp_path / VAE).parent.mkdir(parents=True)
    (tmp_path / VAE).write_text(text + "message Added {}\n")
    new = compile_proto(VAE, tmp_path / "new", tmp_path, PROTO)
    assert breaks(compile_proto(VAE, tmp_path / "old", PROTO), new) == []


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("google/api/field_behavior.proto", field_behavior_pb2.DESCRIPTOR),
        ("google/rpc/status.proto", status_pb2.DESCRIPTOR),
    ],
)
def test_the_imports_that_ship_are_those_of_the_generated_code(
    tmp_path: Path, name: str, package: object
) -> None:
    used = FileDescriptorProto()
    package.CopyToProto(used)  # type: ignore[attr-defined]
    assert breaks(compile_proto(name, tmp_path / "set", PROTO), used) == []


@pytest.mark.skipif(BUF is None, reason="buf is not installed")
def test_buf_finds_nothing() -> None:
    assert BUF is not None
    done = subprocess.run([BUF, "lint"], cwd=PROTO, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


# Renaming these would break JSON and generated names.
UNPREFIXED = {"DType"}


def test_names_are_those_that_buf_asks_for(tmp_path: Path) -> None:
    """The part of its STANDARD rules that a schema like this one could break, where buf is not installed."""
    file = compile_proto(VAE, tmp_path / "set", PROTO)
    assert file.package.replace(".", "/") == str(Path(VAE).parent)
    names = [message.name for message in file.message_type] + [enum.name for enum in file.enum_type]
    assert [name for name in names if not re.fullmatch(r"([A-Z][a-z0-9]*)+", name)] == []
    fields = [field.name for message in file.message_type for field in message.field]
    assert [name for name in fields if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)] == []
    for enum in file.enum_type:
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper()
        prefix = prefix if enum.name not in UNPREFIXED else enum.name.upper()
        assert (enum.value[0].name, enum.value[0].number) == (f"{prefix}_UNSPECIFIED", 0)
        assert all(value.name.startswith(f"{prefix}_") for value in enum.value)
    for method in file.service[0].method:
        wanted = [f".{file.package}.{method.name}{kind}" for kind in ("Request", "Response")]
        assert [method.input_type, method.output_type] == wanted
