"""inference.GRPCInferenceService over VaeService: thin, so that every answer is one that VaeService gives."""

from importlib.metadata import version
from typing import Any

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from rdserve.server.errors import InvalidRequest
from rdserve.server.grpc_api.inference.operations import OPERATIONS, ServedOperation, TensorSpec, split_name
from rdserve.server.grpc_api.inference.statistics import statistics
from rdserve.server.grpc_api.inference.tensors import fill, parameters, to_request
from rdserve.server.observability.metrics import Metrics
from rdserve.v1 import inference_pb2 as oip
from rdserve.v1 import inference_pb2_grpc
from rdserve.v1 import vae_pb2 as v1
from rdserve.v1.vae_pb2_grpc import VaeServiceServicer
from rdserve.wire import batches
from rdserve.wire.limits import MAX_MESSAGE_BYTES
from rdserve.wire.service import SERVICE

PLATFORM = "rdserve"
EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics", "parameters")
STATES = {
    v1.MODEL_STATE_LOADING: "LOADING",
    v1.MODEL_STATE_SERVING: "READY",
    v1.MODEL_STATE_FAILED: "UNAVAILABLE",
}

Model = tuple[v1.Model, ServedOperation]


class InferenceServicer(inference_pb2_grpc.GRPCInferenceServiceServicer):
    """Names and shapes translated. health: the service's, which says whether it is ready."""

    def __init__(self, vae: VaeServiceServicer, health: Any, metrics: Metrics) -> None:
        self._vae: Any = vae
        self._health = health
        self._metrics = metrics

    async def ServerLive(self, request: oip.ServerLiveRequest, context: Any) -> oip.ServerLiveResponse:
        return oip.ServerLiveResponse(live=True)

    async def ServerReady(self, request: oip.ServerReadyRequest, context: Any) -> oip.ServerReadyResponse:
        answer = await self._health.Check(HealthCheckRequest(service=SERVICE), context)
        return oip.ServerReadyResponse(ready=answer.status == HealthCheckResponse.SERVING)

    async def ModelReady(self, request: oip.ModelReadyRequest, context: Any) -> oip.ModelReadyResponse:
        model, _ = await self._find(request.name, request.version, context)
        return oip.ModelReadyResponse(ready=model.state == v1.MODEL_STATE_SERVING)

    async def ServerMetadata(
        self, request: oip.ServerMetadataRequest, context: Any
    ) -> oip.ServerMetadataResponse:
        return oip.ServerMetadataResponse(name=PLATFORM, version=version("rdserve"), extensions=EXTENSIONS)

    async def ModelMetadata(
        self, request: oip.ModelMetadataRequest, context: Any
    ) -> oip.ModelMetadataResponse:
        model, operation = await self._find(request.name, request.version, context)
        return oip.ModelMetadataResponse(
            name=request.name,
            versions=[model.version],
            platform=PLATFORM,
            inputs=map(_metadata, operation.inputs(model)),
            outputs=map(_metadata, operation.outputs(model)),
        )

    async def ModelConfig(self, request: oip.ModelConfigRequest, context: Any) -> oip.ModelConfigResponse:
        model, operation = await self._find(request.name, request.version, context)
        inputs = [
            oip.ModelInput(name=each.name, data_type=_type(each), dims=each.shape, optional=each.optional)
            for each in operation.inputs(model)
        ]
        outputs = [
            oip.ModelOutput(name=each.name, data_type=_type(each), dims=each.shape)
            for each in operation.outputs(model)
        ]
        # max_batch_size 0: shapes are whole; requests are merged here, whatever a client thinks of it.
        config = oip.ModelConfig(name=request.name, platform=PLATFORM, input=inputs, output=outputs)
        return oip.ModelConfigResponse(config=config)

    async def ModelStatistics(
        self, request: oip.ModelStatisticsRequest, context: Any
    ) -> oip.ModelStatisticsResponse:
        if request.name:
            models = [(await self._find(request.name, request.version, context))[0]]
        else:
            models = await self._models(context)
        found = [statistics(self._metrics, model.name, model.version) for model in models]
        return oip.ModelStatisticsResponse(model_stats=found)

    async def RepositoryIndex(
        self, request: oip.RepositoryIndexRequest, context: Any
    ) -> oip.RepositoryIndexResponse:
        listed = [
            oip.RepositoryIndexResponse.ModelIndex(
                name=model.name, version=model.version, state=STATES[model.state], reason=model.state_reason
            )
            for model in await self._models(context)
            if not request.ready or model.state == v1.MODEL_STATE_SERVING
        ]
        return oip.RepositoryIndexResponse(models=listed)

    async def ModelInfer(self, request: oip.ModelInferRequest, context: Any) -> oip.ModelInferResponse:
        given = parameters(request)
        default = str(given.get("operation", "score"))
        name, operation = split_name(request.model_name, request.model_version, default)
        asked = to_request(operation, name, request, given)
        answer = await self._answer(operation, asked, context)
        model = (await self._vae.GetModel(v1.GetModelRequest(model=name), context)).model
        response = oip.ModelInferResponse(
            model_name=request.model_name, model_version=model.version, id=request.id
        )
        fill(response, answer, request, operation)
        return response

    async def _answer(self, operation: ServedOperation, request: Any, context: Any) -> Any:
        """Of a stream all messages as one, where they fit."""
        if operation is not OPERATIONS["sample"]:
            return await getattr(self._vae, operation.method)(request, context)
        parts, size = [], 0
        async for part in self._vae.Sample(request, context):
            parts.append(part)
            size += part.ByteSize()
            if size > MAX_MESSAGE_BYTES:
                raise InvalidRequest(
                    f"{request.n_latents} samples take more than a message of {MAX_MESSAGE_BYTES} bytes; "
                    f"ask for fewer at a time, or rdserve.v1 for a stream",
                    field="parameters",
                )
        return batches.join(parts)

    async def _find(self, name: str, version: str, context: Any) -> Model:
        asked, operation = split_name(name, version)
        answer = await self._vae.GetModel(v1.GetModelRequest(model=asked), context)
        return answer.model, operation

    async def _models(self, context: Any) -> list[v1.Model]:
        return list((await self._vae.ListModels(v1.ListModelsRequest(), context)).models)


def _metadata(tensor: TensorSpec) -> oip.ModelMetadataResponse.TensorMetadata:
    return oip.ModelMetadataResponse.TensorMetadata(
        name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
    )


def _type(tensor: TensorSpec) -> Any:
    return oip.DataType.Value(f"TYPE_{tensor.datatype}")
