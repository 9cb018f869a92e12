"""What is REQUIRED by vae.proto is refused where it is missing; all else may be left out."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.api import field_behavior_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2
from rdserve.v1 import vae_pb2
from rdserve.v1.vae_pb2 import NoiseKeys
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from rdserve.wire import tensors

MODEL = "tiny-mmm"
WHOLE: dict[str, Any] = {
    "model": MODEL,
    "models": [MODEL],
    "images": tensors.to_message(np.ones((2, 8, 8), bool)),
    "latents": tensors.to_message(np.ones((2, 4), np.float32)),
    "noise": NoiseKeys(seed=3, example_ids=[4, 5], row_seeds=[6, 7]),
    "n_latents": 2,
    "n_samples": 2,
    "accept": [vae_pb2.INPUT_KIND_BINARY],
}
METHODS = vae_pb2.DESCRIPTOR.services_by_name["VaeService"].methods
OK = code_pb2.OK
REFUSED = {code_pb2.INVALID_ARGUMENT, code_pb2.NOT_FOUND}


def whole(method: str) -> Message:
    """A request with every field set."""
    kind = getattr(vae_pb2, f"{method}Request")
    return kind(**{field: WHOLE[field] for field in kind.DESCRIPTOR.fields_by_name})  # type: ignore[no-any-return]


def paths(message: Message) -> Iterator[tuple[str, ...]]:
    for field in message.DESCRIPTOR.fields:
        yield (field.name,)
        if field.message_type is not None:
            inner = getattr(message, field.name)
            yield from ((field.name, *path) for path in paths(inner))


CASES = [(method.name, path) for method in METHODS for path in paths(whole(method.name))]


@pytest.fixture(scope="module")
def stub(in_process_service: str) -> Iterator[VaeServiceStub]:
    with grpc.insecure_channel(in_process_service) as channel:
        yield VaeServiceStub(channel)


@pytest.mark.parametrize(
    ("method", "path"), CASES, ids=lambda case: case if isinstance(case, str) else ".".join(case)
)
def test_the_word_and_the_service_agree(stub: VaeServiceStub, method: str, path: tuple[str, ...]) -> None:
    request = whole(method)
    holder = request
    for name in path[:-1]:
        holder = getattr(holder, name)
    holder.ClearField(path[-1])
    behaviour = (
        holder.DESCRIPTOR.fields_by_name[path[-1]].GetOptions().Extensions[field_behavior_pb2.field_behavior]
    )
    status = ask(stub, method, request)
    assert status in (REFUSED if field_behavior_pb2.REQUIRED in behaviour else {OK})


def ask(stub: VaeServiceStub, method: str, request: Message) -> int:
    """The status; that of its one model for Compare, which names it in the stream."""
    try:
        answer = getattr(stub, method)(request)
        parts = list(answer) if isinstance(answer, Iterator) else []
    except grpc.RpcError as error:
        return int(error.code().value[0])  # type: ignore[attr-defined]
    return max((part.error.code for part in parts if isinstance(part, vae_pb2.CompareResponse)), default=OK)


def test_without_keys_the_seed_is_0(stub: VaeServiceStub) -> None:
    request = vae_pb2.ScoreRequest(model=MODEL, images=WHOLE["images"])
    keyed = vae_pb2.ScoreRequest(
        model=MODEL, images=WHOLE["images"], noise=NoiseKeys(seed=0, example_ids=[0, 1])
    )
    assert stub.Score(request).distortion_nats == stub.Score(keyed).distortion_nats
