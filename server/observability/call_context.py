"""What the service learns of an RPC on its way, from the edge to a worker and back.

The telemetry interceptor begins a record; those on the way add what they know; its end becomes
metrics, trailing metadata and a line of the log.
"""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import getrandbits
from time import monotonic, time_ns
from typing import NamedTuple

from google.protobuf.descriptor import MethodDescriptor
from rdserve.server.observability.metrics import UNKNOWN
from rdserve.wire.tracing import HEADER as TRACEPARENT
from rdserve.wire.tracing import Span

REQUEST_ID = "x-request-id"
# What a header may hold and a log line should: who calls chooses it.
_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
# W3C Trace Context, version 00: trace id, parent id, flags.
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

TYPES = {
    (False, False): "unary",
    (False, True): "server_stream",
    (True, False): "client_stream",
    (True, True): "bidi_stream",
}


class Method(NamedTuple):
    """The labels of an RPC."""

    grpc_type: str
    grpc_service: str
    grpc_method: str

    @classmethod
    def of(cls, method: MethodDescriptor) -> "Method":
        kind = TYPES[method.client_streaming, method.server_streaming]
        return cls(kind, method.containing_service.full_name, method.name)


# Of a method that nobody implements.
NOBODYS = Method(UNKNOWN, UNKNOWN, UNKNOWN)


@dataclass(eq=False, slots=True)
class RpcContext:
    """One RPC so far.

    queue_seconds: the longest that a part of it waited. batch_rows: of the largest call it rode in.
    compute_seconds: in the model, over its calls. waiting: parts that no worker was sent yet.
    models: name -> version of those that it is about, which are there.
    """

    method: str
    request_id: str
    traceparent: str = ""
    begun: float = field(default_factory=monotonic)
    models: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    parts: int = 0
    waiting: int = 0
    queue_seconds: float = 0.0
    batch_rows: int = 0
    compute_seconds: float = 0.0
    span: Span | None = None

    @classmethod
    def of(cls, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> "RpcContext":
        """The record of a call that begins. A request id or traceparent that is none is replaced, dropped."""
        given = {key: value for key, value in metadata if key in (REQUEST_ID, TRACEPARENT)}
        request_id, traceparent = str(given.get(REQUEST_ID, "")), str(given.get(TRACEPARENT, ""))
        return cls(
            method,
            request_id if _ID.fullmatch(request_id) else f"{getrandbits(128):032x}",
            traceparent if _TRACEPARENT.fullmatch(traceparent) else "",
        )

    @property
    def model(self) -> str:
        """The one model that it is about, or nothing."""
        return next(iter(self.models)) if len(self.models) == 1 else ""

    @property
    def version(self) -> str:
        """Of that one model."""
        return self.models.get(self.model, "")

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits, or nothing."""
        return self.span.trace_id if self.span else self.traceparent[3:35]

    def trailing(self) -> tuple[tuple[str, str], ...]:
        """What the caller gets with the end of the call."""
        pairs = [(REQUEST_ID, self.request_id)]
        if self.version:
            pairs.append(("rdserve-model-version", self.version))
        if self.batch_rows:
            pairs.append(("rdserve-queue-seconds", f"{self.queue_seconds:.6f}"))
            pairs.append(("rdserve-batch-rows", str(self.batch_rows)))
            pairs.append(("rdserve-compute-seconds", f"{self.compute_seconds:.6f}"))
        return tuple(pairs)


_CURRENT: ContextVar[RpcContext | None] = ContextVar("rpc", default=None)


def begin(rpc: RpcContext) -> None:
    """Everything in this task, and the tasks that it starts, works for that RPC."""
    _CURRENT.set(rpc)


def uses(model: str, version: str) -> None:
    """The RPC under way is about this model, which is there."""
    if rpc := _CURRENT.get():
        rpc.models[model] = version


def request_id() -> str:
    """Of the RPC under way, or nothing."""
    return rpc.request_id if (rpc := _CURRENT.get()) else ""


def failed(reason: str) -> tuple[tuple[str, str], ...]:
    """The RPC under way ends for this reason; what its caller gets with the error."""
    if (rpc := _CURRENT.get()) is None:
        return ()
    rpc.reason = reason
    return rpc.trailing()


class QueueTicket:
    """A request, or a part of a large one, that waits for a worker on behalf of an RPC."""

    __slots__ = ("arrived", "arrived_ns", "rpc", "sent")

    def __init__(self) -> None:
        self.rpc = _CURRENT.get()
        self.arrived = monotonic()
        self.arrived_ns = time_ns()
        self.sent = False
        if self.rpc:
            self.rpc.parts += 1
            self.rpc.waiting += 1

    def send(self, rows: int) -> float | None:
        """It rides in a call of so many rows. Seconds that it waited; None where it is sent once more."""
        if self.rpc:
            self.rpc.batch_rows = max(self.rpc.batch_rows, rows)
        if self.sent:
            return None
        self.sent, waited = True, monotonic() - self.arrived
        if self.rpc:
            self.rpc.waiting -= 1
            self.rpc.queue_seconds = max(self.rpc.queue_seconds, waited)
        return waited
