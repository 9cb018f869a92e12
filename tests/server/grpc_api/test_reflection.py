"""Reflection answers under both names that clients know it by, and describes itself under both."""

from collections.abc import AsyncIterator

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import aio
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from rdserve.server.grpc_api import reflection

VAE = "rdserve.v1.VaeService"
V1, ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"


@pytest.fixture
async def channel() -> AsyncIterator[aio.Channel]:
    server = aio.server()
    reflection.enable(server, [VAE])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


async def ask(
    channel: aio.Channel, service: str, request: ServerReflectionRequest
) -> ServerReflectionResponse:
    call = channel.stream_stream(
        f"/{service}/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )(iter([request]))
    (answer,) = [answer async for answer in call]
    return answer


@pytest.mark.parametrize("service", [V1, ALPHA])
async def test_services_are_listed(channel: aio.Channel, service: str) -> None:
    answer = await ask(channel, service, ServerReflectionRequest(list_services=""))
    assert {found.name for found in answer.list_services_response.service} == {VAE, V1, ALPHA}


@pytest.mark.parametrize("service", [V1, ALPHA])
@pytest.mark.parametrize("symbol", [VAE, V1, ALPHA])
async def test_each_is_described_with_all_that_it_imports(
    channel: aio.Channel, service: str, symbol: str
) -> None:
    answer = await ask(channel, service, ServerReflectionRequest(file_containing_symbol=symbol))
    blobs = answer.file_descriptor_response.file_descriptor_proto
    files = {file.name: file for file in map(FileDescriptorProto.FromString, blobs)}
    assert symbol in {f"{file.package}.{each.name}" for file in files.values() for each in file.service}
    assert {name for file in files.values() for name in file.dependency} <= set(files)


async def test_v1_is_not_deprecated_and_takes_messages_of_its_own(channel: aio.Channel) -> None:
    answer = await ask(channel, V1, ServerReflectionRequest(file_containing_symbol=V1))
    (file,) = map(FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto)
    assert not file.options.deprecated
    (method,) = file.service[0].method
    assert method.input_type == ".grpc.reflection.v1.ServerReflectionRequest"
    assert (method.client_streaming, method.server_streaming) == (True, True)
