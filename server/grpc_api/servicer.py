"""rdserve.v1.VaeService: validate, delegate, translate."""

from collections.abc import AsyncIterator
from typing import Any, cast

from grpc import aio
from rdserve.models.card import Card
from rdserve.server.batching.scheduler import Scheduler
from rdserve.server.grpc_api.active_calls import ActiveCalls
from rdserve.server.grpc_api.compare import compare
from rdserve.server.grpc_api.validation import check
from rdserve.server.registry import ModelRegistry, to_message
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
    """The edge: it knows the messages, the catalogue and the batcher, and nothing of what runs the models."""

    def __init__(self, catalogue: ModelRegistry, batcher: Scheduler, door: ActiveCalls) -> None:
        self._catalogue = catalogue
        self._batcher = batcher
        self._door = door

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:
        return ListModelsResponse(models=map(to_message, self._catalogue))

    async def GetModel(self, request: GetModelRequest, context: Context) -> GetModelResponse:
        return GetModelResponse(model=to_message(self._catalogue.find(request.model)))

    async def Encode(self, request: EncodeRequest, context: Context) -> EncodeResponse:
        return cast(EncodeResponse, await self._run(request, context))

    async def Decode(self, request: DecodeRequest, context: Context) -> DecodeResponse:
        return cast(DecodeResponse, await self._run(request, context))

    async def Reconstruct(self, request: ReconstructRequest, context: Context) -> ReconstructResponse:
        return cast(ReconstructResponse, await self._run(request, context))

    async def Score(self, request: ScoreRequest, context: Context) -> ScoreResponse:
        return cast(ScoreResponse, await self._run(request, context))

    async def Sample(self, request: SampleRequest, context: Context) -> AsyncIterator[SampleResponse]:
        with self._door.entered():
            card = self._ready(request)
            async for part in self._batcher.stream(request, card, context.time_remaining()):
                yield cast(SampleResponse, part)

    async def Compare(self, request: CompareRequest, context: Context) -> AsyncIterator[CompareResponse]:
        with self._door.entered():
            left = context.time_remaining()
            async for message in compare(request, self._catalogue, self._batcher, left):
                yield message

    async def _run(self, request: Request, context: Context) -> Any:
        with self._door.entered():
            card = self._ready(request)
            return await self._batcher.run(request, card, context.time_remaining())

    def _ready(self, request: Request) -> Card:
        card = self._catalogue.ready(request.model)
        request.model = card.name  # a pinned version is met; from here on the plain name counts
        check(request, card)
        return card
