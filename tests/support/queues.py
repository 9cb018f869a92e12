"""Queues of models by themselves, with all that a service gives them."""

import tempfile
from pathlib import Path

from rdserve.server.batching.dispatch_policy import DispatchPolicy
from rdserve.server.batching.latency_model import LatencyModel
from rdserve.server.batching.model_queue import ModelQueue, Send
from rdserve.server.batching.revocation import Revocations
from rdserve.server.batching.scheduler import Scheduler
from rdserve.server.observability.batch_observer import BatchObserver
from rdserve.server.observability.metrics import Metrics
from rdserve.server.observability.quality import QualityCollector
from rdserve.server.settings import Settings
from rdserve.server.worker_protocol import Call

TEMPORARY = Path(tempfile.gettempdir())


def observer(metrics: Metrics | None = None) -> BatchObserver:
    return BatchObserver(metrics or Metrics(), QualityCollector([]))


def model_queue(
    send: Send, *, slots: int = 1, folder: Path = TEMPORARY, metrics: Metrics | None = None
) -> ModelQueue:
    """One that nobody is told of losses of. folder: for revocations."""
    return ModelQueue(
        send,
        slots=slots,
        policy=DispatchPolicy(slots),
        latency=LatencyModel(100),
        on_loss=lambda error: None,
        observer=observer(metrics),
        revocations=Revocations(folder),
    )


def scheduler(call: Call, settings: Settings, folder: Path = TEMPORARY) -> Scheduler:
    return Scheduler(call, settings, observer(), Revocations(folder))
