"""A model behind the wire: serialized WorkRequests in, serialized WorkReplies out.

Bodies that arrive together are merged into one batch per kind. Nothing raises past `work`: errors
travel inside the reply of the body they belong to.
"""

import os
import traceback
import uuid
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import torch
from google.protobuf.message import DecodeError
from rdserve.models.cancellation import Abandoned, abandoned_when
from rdserve.models.card import Card, TorchCard
from rdserve.models.engines import load_model
from rdserve.models.execution.acceleration import accelerate
from rdserve.models.execution.config import ExecutionConfig, abandon_onednn_after, out_of_memory
from rdserve.models.vae import VAE, frozen
from rdserve.models.worker.dispatch import BadRow, NotFinite, run
from rdserve.v1.worker_pb2 import (
    WORK_ERROR_REASON_ABANDONED,
    WORK_ERROR_REASON_INTERNAL,
    WORK_ERROR_REASON_INVALID_ARGUMENT,
    WORK_ERROR_REASON_NUMERIC_FAILURE,
    WORK_ERROR_REASON_OUT_OF_MEMORY,
    WorkError,
    WorkReply,
    WorkRequest,
)
from rdserve.wire import batches, tracing

CPU = ExecutionConfig()
MAX_TRACEBACK_CHARACTERS = 20_000


class Worker:
    """One loaded model."""

    def __init__(self, card: Card, vae: VAE, config: ExecutionConfig = CPU) -> None:
        self.card = card
        self.config = config
        config.prepare()
        self._place = WorkReply(device=config.device_name, dtype=config.precision)
        with torch.inference_mode():
            self.vae = frozen(vae.to(config.device))
        if isinstance(card, TorchCard):
            accelerate(self.vae, config, card.architecture.image_shape)

    @classmethod
    def load(cls, folder: Path, config: ExecutionConfig = CPU) -> "Worker":
        """The model in a folder.

        Raises:
            CardError: what is there disagrees with its card.
        """
        card, vae = load_model(folder, config.device)
        # ONNX Runtime is on the CPU here, in float32.
        here = config if isinstance(card, TorchCard) else ExecutionConfig(at_once=config.at_once)
        return cls(card, vae, here)

    def work(self, bodies: Sequence[bytes]) -> list[bytes]:
        """One serialized WorkReply per serialized WorkRequest, in order."""
        replies: list[WorkReply] = [WorkReply()] * len(bodies)
        groups: dict[tuple[object, ...], list[tuple[int, batches.Request]]] = defaultdict(list)
        traceparent, files = "", []
        for i, body in enumerate(bodies):
            try:
                envelope = _envelope(body)
                request = _content(envelope)
            except BadRow as error:
                replies[i] = WorkReply(error=_invalid(error))
            else:
                groups[batches.merge_key(request)].append((i, request))
                files.append(envelope.revocation_file)
                traceparent = traceparent or envelope.traceparent
        for group in groups.values():
            with (
                tracing.span("compute", traceparent),
                abandoned_when(lambda: all(map(os.path.exists, files))),
            ):
                answers = self._answer_all([request for _, request in group])
            for (i, _), answer in zip(group, answers, strict=True):
                replies[i] = answer
        for reply in replies:
            reply.MergeFrom(self._place)
        return [reply.SerializeToString() for reply in replies]

    def _answer_all(self, requests: list[batches.Request]) -> list[WorkReply]:
        """Requests of one kind as one batch; one by one where the batch fails, so that one bad
        request spoils only its own reply."""
        if len(requests) > 1:
            merged = self._answer_merged(requests)
            if not merged.HasField("error"):
                return _share(merged, [batches.n_rows(request) for request in requests])
        return [self._answer(request) for request in requests]

    def _answer_merged(self, requests: list[batches.Request]) -> WorkReply:
        try:
            return self._answer(batches.merge(requests))
        except ValueError as error:
            return WorkReply(error=_invalid(BadRow("", str(error))))

    def _answer(self, request: batches.Request) -> WorkReply:
        begun = perf_counter()
        try:
            reply = self._run(request)
            reply.compute_seconds = perf_counter() - begun
            return reply
        except BadRow as error:
            return WorkReply(error=_invalid(error))
        except Abandoned:
            return WorkReply(error=WorkError(reason=WORK_ERROR_REASON_ABANDONED))
        except NotFinite as error:
            return WorkReply(error=WorkError(reason=WORK_ERROR_REASON_NUMERIC_FAILURE, message=str(error)))
        except Exception as error:
            if out_of_memory(error):
                return WorkReply(error=_too_large(request))
            return WorkReply(error=_defect())

    def _run(self, request: batches.Request) -> WorkReply:
        """The reply; where memory runs out, once more with half as much at a time."""
        try:
            return self._run_as(request, self.config)
        except Exception as error:
            smaller = self.config.smaller(batches.n_rows(request) * batches.n_samples(request))
            if smaller is None or not out_of_memory(error):
                raise
        # Not in the handler above: the error there holds what was computed so far.
        if self.config.device.type == "cuda":
            torch.cuda.empty_cache()
        return self._run_as(request, smaller)

    def _run_as(self, request: batches.Request, config: ExecutionConfig) -> WorkReply:
        try:
            with torch.inference_mode():
                return run(self.vae, self.card, request, config)
        except Exception as error:
            abandon_onednn_after(error)
            raise


def _envelope(body: bytes) -> WorkRequest:
    try:
        return WorkRequest.FromString(bytes(body))
    except DecodeError:
        raise BadRow("", f"{len(body)} bytes that are no WorkRequest") from None


def _content(envelope: WorkRequest) -> batches.Request:
    op = envelope.WhichOneof("op")
    if op is None:
        raise BadRow("op", "the WorkRequest names no op")
    request: batches.Request = getattr(envelope, op)
    return request


def _share(reply: WorkReply, sizes: list[int]) -> list[WorkReply]:
    op = reply.WhichOneof("result")
    assert op is not None
    parts = batches.split(getattr(reply, op), sizes)
    return [WorkReply(**{op: part}, compute_seconds=reply.compute_seconds) for part in parts]


def _invalid(error: BadRow) -> WorkError:
    return WorkError(reason=WORK_ERROR_REASON_INVALID_ARGUMENT, message=str(error), field=error.field)


def _defect() -> WorkError:
    """The exception being handled, for the front's log: a worker's own log arrives there line by line."""
    message = traceback.format_exc()[-MAX_TRACEBACK_CHARACTERS:]
    return WorkError(reason=WORK_ERROR_REASON_INTERNAL, error_id=uuid.uuid4().hex, message=message)


def _too_large(request: batches.Request) -> WorkError:
    message = f"{batches.n_rows(request)} rows of {batches.n_samples(request)} samples do not fit in memory"
    return WorkError(reason=WORK_ERROR_REASON_OUT_OF_MEMORY, message=message)
