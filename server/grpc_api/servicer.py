"""rdserve.v1.VaeService: validate, delegate, translate."""

from collections.abc import AsyncIterator
from typing import Any, cast

from grpc import aio
from rdserve.server.batching.scheduler import Scheduler
from rdserve.server.grpc_api.active_calls import ActiveCalls
from rdserve.server.grpc_api.compare import compare
from rdserve.server.grpc_api.messages import shown_to, to_message
from rdserve.server.grpc_api.validation import accept, find
from rdserve.server.registry import ModelRegistry
from rdserve.v1 import vae_pb2 as v1
from rdserve.v1 import vae_pb2_grpc
from rdserve.wire.batches import Request

Context = aio.ServicerContext[Any, Any]


class VaeServicer(vae_pb2_grpc.VaeServiceServicer):
    """The edge: it knows messages, registry and scheduler, and nothing of what runs the models."""

    def __init__(self, registry: ModelRegistry, scheduler: Scheduler, active: ActiveCalls) -> None:
        self._registry = registry
        self._scheduler = scheduler
        self._active = active

    async def ListModels(self, request: v1.ListModelsRequest, context: Context) -> v1.ListModelsResponse:
        shown = (record for record in self._registry if shown_to(record.card, request.accept))
        return v1.ListModelsResponse(models=map(to_message, shown))

    async def GetModel(self, request: v1.GetModelRequest, context: Context) -> v1.GetModelResponse:
        return v1.GetModelResponse(model=to_message(find(request.model, self._registry)))

    async def Encode(self, request: v1.EncodeRequest, context: Context) -> v1.EncodeResponse:
        return cast(v1.EncodeResponse, await self._run(request, context))

    async def Decode(self, request: v1.DecodeRequest, context: Context) -> v1.DecodeResponse:
        return cast(v1.DecodeResponse, await self._run(request, context))

    async def Reconstruct(self, request: v1.ReconstructRequest, context: Context) -> v1.ReconstructResponse:
        return cast(v1.ReconstructResponse, await self._run(request, context))

    async def Score(self, request: v1.ScoreRequest, context: Context) -> v1.ScoreResponse:
        return cast(v1.ScoreResponse, await self._run(request, context))

    async def Sample(self, request: v1.SampleRequest, context: Context) -> AsyncIterator[v1.SampleResponse]:
        with self._active.track():
            card = accept(request, self._registry)
            async for part in self._scheduler.stream(request, card, context.time_remaining()):
                yield cast(v1.SampleResponse, part)

    async def Compare(
        self, request: v1.CompareRequest, context: Context
    ) -> AsyncIterator[v1.CompareResponse]:
        with self._active.track():
            left = context.time_remaining()
            async for message in compare(request, self._registry, self._scheduler, left):
                yield message

    async def _run(self, request: Request, context: Context) -> Any:
        with self._active.track():
            card = accept(request, self._registry)
            return await self._scheduler.run(request, card, context.time_remaining())
