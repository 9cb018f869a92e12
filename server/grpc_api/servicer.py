"""rdserve.v1.VaeService: validate, delegate, translate."""

from collections.abc import AsyncIterator
from typing import Any, cast

from grpc import aio
from rdserve.server.batching.scheduler import Scheduler
from rdserve.server.grpc_api.active_calls import ActiveCalls
from rdserve.server.grpc_api.compare import compare
from rdserve.server.grpc_api.messages import to_message
from rdserve.server.grpc_api.validation import accept, find
from rdserve.server.registry import ModelRegistry
from rdserve.v1 import vae_pb2_grpc
from rdserve.v1.vae_pb2 import (
    CompareRequest,
    CompareResponse,
    DecodeRequest,
    DecodeResponse,
    EncodeRequest,
    EncodeResponse,
    GetModelRequest,
    GetModelResponse,
    ListModelsRequest,
    ListModelsResponse,
    ReconstructRequest,
    ReconstructResponse,
    SampleRequest,
    SampleResponse,
    ScoreRequest,
    ScoreResponse,
)
from rdserve.wire.batches import Request

Context = aio.ServicerContext[Any, Any]


class VaeServicer(vae_pb2_grpc.VaeServiceServicer):
    """The edge: it knows messages, registry and scheduler, and nothing of what runs the models."""

    def __init__(self, registry: ModelRegistry, scheduler: Scheduler, active: ActiveCalls) -> None:
        self._registry = registry
        self._scheduler = scheduler
        self._active = active

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:
        return ListModelsResponse(models=map(to_message, self._registry))

    async def GetModel(self, request: GetModelRequest, context: Context) -> GetModelResponse:
        return GetModelResponse(model=to_message(find(request.model, self._registry)))

    async def Encode(self, request: EncodeRequest, context: Context) -> EncodeResponse:
        return cast(EncodeResponse, await self._run(request, context))

    async def Decode(self, request: DecodeRequest, context: Context) -> DecodeResponse:
        return cast(DecodeResponse, await self._run(request, context))

    async def Reconstruct(self, request: ReconstructRequest, context: Context) -> ReconstructResponse:
        return cast(ReconstructResponse, await self._run(request, context))

    async def Score(self, request: ScoreRequest, context: Context) -> ScoreResponse:
        return cast(ScoreResponse, await self._run(request, context))

    async def Sample(self, request: SampleRequest, context: Context) -> AsyncIterator[SampleResponse]:
        with self._active.track():
            card = accept(request, self._registry)
            async for part in self._scheduler.stream(request, card, context.time_remaining()):
                yield cast(SampleResponse, part)

    async def Compare(self, request: CompareRequest, context: Context) -> AsyncIterator[CompareResponse]:
        with self._active.track():
            left = context.time_remaining()
            async for message in compare(request, self._registry, self._scheduler, left):
                yield message

    async def _run(self, request: Request, context: Context) -> Any:
        with self._active.track():
            card = accept(request, self._registry)
            return await self._scheduler.run(request, card, context.time_remaining())
