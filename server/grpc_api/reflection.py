"""Reflection, as grpc.reflection.v1 and as the v1alpha that older clients ask for.

grpcio-reflection has v1alpha alone. The two differ in their package's name and nothing else, so its servicer
answers for both.
"""

from collections.abc import Iterable

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import aio
from grpc_reflection.v1alpha import reflection, reflection_pb2

ALPHA: ServiceDescriptor = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]


def _describe_v1() -> ServiceDescriptor:
    """v1's service in the default pool, from which descriptions are answered."""
    alpha = FileDescriptorProto()
    ALPHA.file.CopyToProto(alpha)
    text = text_format.MessageToString(alpha).replace("v1alpha", "v1")
    file = text_format.Parse(text, FileDescriptorProto())
    file.options.ClearField("deprecated")
    pool = descriptor_pool.Default()
    pool.Add(file)
    return pool.FindServiceByName(f"{file.package}.{ALPHA.name}")


SERVICES = (_describe_v1(), ALPHA)


def enable(server: aio.Server, names: Iterable[str]) -> None:
    """Let clients ask `server` what the services of these names look like, and reflection itself."""
    own = [service.full_name for service in SERVICES]
    servicer = reflection.aio.ReflectionServicer([*names, *own])  # type: ignore[attr-defined]
    answer = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    methods = {method.name: answer for method in ALPHA.methods}
    server.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(name, methods) for name in own)
    )
