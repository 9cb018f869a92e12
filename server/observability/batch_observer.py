"""What queues do, as metrics and spans: waiting, merging, calling, computing, splitting."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, time_ns

from rdserve.server.observability.call_context import QueueTicket, RpcContext
from rdserve.server.observability.metrics import Metrics
from rdserve.server.observability.quality import QualityCollector
from rdserve.server.worker_protocol import Reply
from rdserve.wire.batches import Request, n_rows, op_of
from rdserve.wire.tracing import Span

STAGES = ("merge", "call", "compute", "split")


class BatchObserver:
    """What queues tell of themselves."""

    def __init__(self, metrics: Metrics, quality: QualityCollector) -> None:
        self._metrics = metrics
        self._quality = quality
        self._series: dict[tuple[str, str], BatchSeries] = {}

    @contextmanager
    def call(self, tickets: Sequence[QueueTicket]) -> "Iterator[BatchCall]":
        """A call for these, from before they are merged until they are split."""
        seen = BatchCall(self._find, tickets)
        try:
            yield seen
        except BaseException as error:
            seen.end(type(error).__name__)
            raise
        seen.done()
        # Requests that the service asks itself would pass for a caller's.
        if seen.request is not None and seen.reply is not None and seen.rpcs:
            self._quality.add(seen.request.model, seen.reply.response)

    def _find(self, request: Request) -> "BatchSeries":
        key = (request.model, op_of(request))
        if key not in self._series:
            self._series[key] = BatchSeries(self._metrics, *key)
        return self._series[key]

    def retried(self, model: str, count: int, reason: str) -> None:
        """So many requests go again."""
        self._metrics.retried.labels(model, reason).inc(count)


class BatchSeries:
    """The series of one model and op, looked up once."""

    def __init__(self, metrics: Metrics, model: str, op: str) -> None:
        self.model, self.op = model, op
        self.queue = metrics.queue.labels(model)
        self.batch = metrics.batch.labels(model, op)
        self.stages = [metrics.compute.labels(model, op, stage) for stage in STAGES]


class BatchCall:
    """One call under way. Its span hangs below the oldest request's, and links to the others'."""

    def __init__(self, find: Callable[[Request], BatchSeries], tickets: Sequence[QueueTicket]) -> None:
        self._find = find
        self._tickets = tickets
        self._span: Span | None = None
        self._begun = self._sent = self._back = monotonic()
        self.rpcs: list[RpcContext] = list({id(t.rpc): t.rpc for t in tickets if t.rpc}.values())
        self.request: Request | None = None
        self.reply: Reply | None = None

    def sending(self, request: Request) -> str:
        """Merged, and on its way; the traceparent that it is to carry, or nothing."""
        self.request = request
        self._sent = monotonic()
        self._series = self._find(request)
        self._rows = n_rows(request)
        for ticket in self._tickets:
            if (waited := ticket.send(self._rows)) is not None:
                trace_id = ticket.rpc.trace_id if ticket.rpc else ""
                self._series.queue.observe(waited, {"trace_id": trace_id} if trace_id else None)
        self._series.batch.observe(self._rows)
        return self._trace()

    def answered(self, reply: Reply) -> None:
        """Back, and not yet split."""
        self.reply = reply
        self._back = monotonic()

    @property
    def compute_seconds(self) -> float:
        """In the model, as the worker says; 0 where it has not answered."""
        return self.reply.compute_seconds if self.reply else 0.0

    def done(self) -> None:
        """Split: nothing is left to do."""
        if self.request is None:
            return
        for rpc in self.rpcs:
            rpc.compute_seconds += self.compute_seconds
        merge, call, split = self._sent - self._begun, self._back - self._sent, monotonic() - self._back
        for stage, seconds in zip(
            self._series.stages, (merge, call, self.compute_seconds, split), strict=True
        ):
            stage.observe(seconds)
        self.end()

    def end(self, error: str = "") -> None:
        """The span is over."""
        if self._span is not None and self.request is not None:
            facts: dict[str, str | int | float] = {
                "rdserve.model": self._series.model,
                "rdserve.op": self._series.op,
                "rdserve.rows": self._rows,
                "rdserve.requests": len(self._tickets),
                "rdserve.compute_seconds": self.compute_seconds,
            }
            self._span.end(facts, error)

    def _trace(self) -> str:
        spans = [rpc.span for rpc in self.rpcs if rpc.span]
        if not spans:
            return ""
        for ticket in self._tickets:
            if ticket.rpc and ticket.rpc.span:
                ticket.rpc.span.child("queue", ticket.arrived_ns).end()
        self._span = spans[0].child("call", links=spans[1:])
        self._span.child("merge", time_ns() - round(1e9 * (self._sent - self._begun))).end()
        return self._span.traceparent
