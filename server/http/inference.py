"""The Open Inference Protocol's REST under /v2: paths to calls of its gRPC service, answers as its JSON."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from grpc import StatusCode, aio
from rdserve.server.errors import InvalidRequest
from rdserve.server.grpc_api.server import INFERENCE
from rdserve.server.http import inference_codec as codec
from rdserve.server.http.asgi import JSON, Receive, Scope, Send, respond, value
from rdserve.server.http.body import MAX_JSON_BYTES
from rdserve.server.http.call_context import CallContext
from rdserve.server.http.calls import Calls, watched
from rdserve.server.http.failure import Failure, encoded, refusal
from rdserve.server.http.json_codec import load
from rdserve.v1 import inference_pb2 as oip
from rdserve.wire.limits import MAX_MESSAGE_BYTES

# Bytes of a body's JSON, where tensors follow it: the binary extension.
LENGTH = b"inference-header-content-length"

# A body -> a request.
Make = Callable[[bytes], Message]


class InferenceRest:
    """The paths under /v2, as an ASGI application."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _route(scope["method"], scope["path"].split("/")[2:])
        if found is None:
            await _refuse(send, refusal(StatusCode.NOT_FOUND, "no such path of the Open Inference Protocol"))
            return
        method, make = found
        # Tensors behind the JSON may be as large as a message, JSON may not.
        length = value(scope, LENGTH) if method == "ModelInfer" else b""
        async with self._calls.begin(f"/{INFERENCE.full_name}/{method}", scope["headers"]) as call:
            # What has no body asks for no room: probes do not wait for uploads.
            if scope["method"] == "POST":
                await call.read(receive, scope["headers"], MAX_MESSAGE_BYTES if length else MAX_JSON_BYTES)
            form = codec.Form({}, others=False)

            def decode() -> Message:
                nonlocal form
                body = call.take_body()
                request = make(body)
                if isinstance(request, oip.ModelInferRequest):
                    form = codec.fill_request(request, body, length)
                return request

            context = CallContext()
            with contextlib.suppress(aio.AbortError):
                answer = await watched(receive, call.answer(decode, context))
                await _tell(send, answer, form, context)
            if context.failure is not None:
                await _refuse(send, context.failure)


def _route(verb: str, parts: list[str]) -> tuple[str, Make] | None:
    """The method of a path, and its request; None where there is none."""
    match verb, parts:
        case "GET", ["health", "live"]:
            return "ServerLive", lambda _: oip.ServerLiveRequest()
        case "GET", ["health", "ready"]:
            return "ServerReady", lambda _: oip.ServerReadyRequest()
        case "GET", [] | [""]:
            return "ServerMetadata", lambda _: oip.ServerMetadataRequest()
        case "POST", ["repository", "index"]:
            return "RepositoryIndex", _index
        case "GET", ["models", "stats"]:
            return "ModelStatistics", lambda _: oip.ModelStatisticsRequest()
        case _, ["models", name, "versions", version, *rest] if version:
            return _of_model(verb, rest, name, version)
        case _, ["models", name, *rest] if name:
            return _of_model(verb, rest, name, "")
    return None


_GETS: dict[str, tuple[str, Any]] = {
    "": ("ModelMetadata", oip.ModelMetadataRequest),
    "ready": ("ModelReady", oip.ModelReadyRequest),
    "config": ("ModelConfig", oip.ModelConfigRequest),
    "stats": ("ModelStatistics", oip.ModelStatisticsRequest),
}


def _of_model(verb: str, rest: list[str], name: str, version: str) -> tuple[str, Make] | None:
    last = "/".join(rest)
    if verb == "GET" and last in _GETS:
        method, kind = _GETS[last]
        return method, lambda _: kind(name=name, version=version)
    if verb == "POST" and last == "infer":
        return "ModelInfer", lambda _: oip.ModelInferRequest(model_name=name, model_version=version)
    return None


def _index(body: bytes) -> oip.RepositoryIndexRequest:
    ready = load(body).get("ready", False) if body.strip() else False
    if not isinstance(ready, bool):
        raise InvalidRequest("ready is true or false", field="ready")
    return oip.RepositoryIndexRequest(ready=ready)


async def _tell(send: Send, answer: Any, form: codec.Form, context: CallContext) -> None:
    headers, status = encoded(context.headers()), 200
    if isinstance(answer, oip.ModelInferResponse):
        head, tensors = await asyncio.to_thread(codec.from_response, answer, form)
        if tensors:
            headers.append((LENGTH, str(len(head)).encode()))
        kind = b"application/octet-stream" if tensors else JSON
        await respond(send, 200, kind, head + b"".join(tensors), headers)
        return
    told: Any = codec.plain(answer)
    if isinstance(answer, oip.ServerLiveResponse | oip.ServerReadyResponse | oip.ModelReadyResponse):
        status = 200 if all(told.values()) else 503
    elif isinstance(answer, oip.RepositoryIndexResponse):
        told = told["models"]
    elif isinstance(answer, oip.ModelConfigResponse):
        told = told["config"]
    await respond(send, status, JSON, json.dumps(told).encode(), headers)


async def _refuse(send: Send, failure: Failure) -> None:
    await failure.respond(send, {"error": failure.status.message})
