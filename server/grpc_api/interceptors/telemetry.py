"""Every RPC counted once, whatever becomes of it, under the names of go-grpc-middleware.

The outermost interceptor. A handler's end decides; an RPC that ends before it has a handler (its message
never came, or was too large for grpc to take) is counted when its task is done.
"""

import asyncio
from collections.abc import Iterable
from contextvars import ContextVar
from time import monotonic
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc import StatusCode, aio
from rdserve.server.grpc_api.interceptors.base import (
    Behaviour,
    Context,
    Continuation,
    Handler,
    PerMethod,
    each,
    wrap,
)
from rdserve.server.observability import call_context, logs
from rdserve.server.observability.call_context import NOBODYS, Method, RpcContext
from rdserve.server.observability.metrics import UNKNOWN, Metrics
from rdserve.wire import tracing

# Clients give up a moment before this side's deadline, which began later.
DEADLINE_SLACK = 0.1
# As Go's codes.Code prints them: "NotFound", and with one l "Canceled".
GO_CODES = {code: code.name.title().replace("_", "") for code in StatusCode} | {
    StatusCode.OK: "OK",
    StatusCode.CANCELLED: "Canceled",
}


class TelemetryInterceptor(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Counts, times, names and logs RPCs of `services`; those of others are "unknown"."""

    def __init__(self, metrics: Metrics, services: Iterable[ServiceDescriptor]) -> None:
        self._methods = {
            f"/{service.full_name}/{method.name}": RpcSeries(metrics, Method.of(method))
            for service in services
            for method in service.methods
        }
        self._nobodys = RpcSeries(metrics, NOBODYS)
        self._watched = PerMethod(_watched)

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        name = handler_call_details.method
        rpc = RpcContext.of(name, handler_call_details.invocation_metadata)
        rpc.span = tracing.start(name.lstrip("/"), rpc.traceparent, server=True)
        call_context.begin(rpc)
        outcome = RpcOutcome(self._methods.get(name, self._nobodys), rpc)
        _OUTCOME.set(outcome)
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(outcome.unhandled)
        handler = await continuation(handler_call_details)
        if handler is None:
            outcome.settle(StatusCode.UNIMPLEMENTED)
            return None
        return self._watched(handler, name)


class RpcSeries:
    """One method's series, looked up once, and there from the start: a counter that begins with its first
    event shows no increase for it."""

    def __init__(self, metrics: Metrics, method: Method) -> None:
        self.metrics = metrics
        self.method = method
        self.started = metrics.started.labels(*method)
        self.handling = metrics.handling.labels(*method)
        self.received = metrics.received.labels(*method)
        self.sent = metrics.sent.labels(*method)
        self.handled = {code: metrics.handled.labels(*method, name) for code, name in GO_CODES.items()}


class RpcOutcome:
    """One RPC's end, to be settled once."""

    def __init__(self, series: RpcSeries, rpc: RpcContext) -> None:
        self._series = series
        self._rpc = rpc
        self._settled = False
        self.sent = series.sent.inc
        series.started.inc()

    def receive(self, request: Any) -> Any:
        """A message has come."""
        self._series.received.inc()
        return request

    def unhandled(self, task: object) -> None:
        """The RPC's task is done; if nothing has settled it yet, no handler ever ran to its end."""
        self.settle(StatusCode.CANCELLED)

    def finished(self, context: Context) -> None:
        """Its handler returned."""
        if code := context.code():
            self.settle(code)
            return
        context.set_trailing_metadata((*context.trailing_metadata(), *self._rpc.trailing()))
        self.settle(StatusCode.OK)

    def broke(self, context: Context, error: BaseException) -> None:
        """Its handler raised: an abort, a client that left, a deadline, or what nobody translated."""
        if isinstance(error, aio.AbortError):
            self.settle(context.code() or StatusCode.UNKNOWN)
        elif isinstance(error, asyncio.CancelledError | aio.InternalError):
            left = context.time_remaining()
            late = left is not None and left < min(DEADLINE_SLACK, 0.1 * (left + self._seconds()))
            self.settle(StatusCode.DEADLINE_EXCEEDED if late else StatusCode.CANCELLED)
        else:
            self.settle(StatusCode.UNKNOWN)

    def settle(self, code: StatusCode) -> None:
        """Count it, unless it has been."""
        if self._settled:
            return
        self._settled = True
        seconds = self._seconds()
        self._count(code, seconds)
        if self._rpc.span:
            self._rpc.span.end({"rpc.grpc.status_code": code.value[0]}, _fault(code))
        logs.request(self._rpc, self._series.method, code, seconds)

    def _count(self, code: StatusCode, seconds: float) -> None:
        metrics, rpc = self._series.metrics, self._rpc
        self._series.handled[code].inc()
        self._series.handling.observe(seconds, {"trace_id": rpc.trace_id} if rpc.trace_id else None)
        if rpc.reason:
            metrics.rejected.labels(rpc.model or UNKNOWN, rpc.reason).inc()
        elif code in (StatusCode.CANCELLED, StatusCode.DEADLINE_EXCEEDED):
            stage = "queue" if rpc.waiting else "worker" if rpc.parts else "arrival"
            for model in rpc.models:
                metrics.expired.labels(model, stage).inc()

    def _seconds(self) -> float:
        return monotonic() - self._rpc.begun


# Of the RPC that this task serves.
_OUTCOME: ContextVar[RpcOutcome] = ContextVar("outcome")


def _fault(code: StatusCode) -> str:
    return "" if code is StatusCode.OK else code.name


def _watched(handler: Handler, method: str) -> Handler:
    """The handler, telling the RPC's outcome of its messages and its end."""

    async def around(behaviour: Behaviour, request: Any, context: Context) -> Any:
        outcome = _OUTCOME.get()
        writing: Any = _Writing(context, outcome) if handler.response_streaming else context
        try:
            answer = await behaviour(
                each(request, outcome.receive) if handler.request_streaming else outcome.receive(request),
                writing,
            )
        except BaseException as error:
            outcome.broke(context, error)
            if isinstance(error, aio.AbortError):
                # grpc keeps it with the call, in a cycle, and its frames would keep the request.
                request = error.__context__ = error.__traceback__ = None
            raise
        if not handler.response_streaming:
            outcome.sent()
        outcome.finished(context)
        return answer

    return wrap(handler, around)


class _Writing:
    """A context that counts what is written."""

    def __init__(self, context: Context, outcome: RpcOutcome) -> None:
        self._context = context
        self._outcome = outcome

    async def write(self, message: Any) -> None:
        await self._context.write(message)
        self._outcome.sent()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)
