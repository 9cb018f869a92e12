"""Every RPC counted once, whatever becomes of it, under the names of go-grpc-middleware.

The outermost interceptor. A handler's end decides; an RPC that ends before it has a handler (its message
never came, or was too large for grpc to take) is counted when its task is done.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from contextvars import ContextVar
from time import monotonic
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc import StatusCode, aio
from rdserve.server.grpc_api.interceptors.errors import (
    Context,
    Handler,
    PerMethod,
    behaviour_of,
    handler_like,
)
from rdserve.server.observability import call_context, logs
from rdserve.server.observability.call_context import RpcContext
from rdserve.server.observability.metrics import UNKNOWN, Metrics
from rdserve.wire import tracing

# Clients give up a moment before this side's deadline, which began later.
DEADLINE_SLACK = 0.1
TYPES = {
    (False, False): "unary",
    (False, True): "server_stream",
    (True, False): "client_stream",
    (True, True): "bidi_stream",
}
# As Go's codes.Code prints them: "NotFound", and with one l "Canceled".
GO_CODES = {code: code.name.title().replace("_", "") for code in StatusCode} | {
    StatusCode.OK: "OK",
    StatusCode.CANCELLED: "Canceled",
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


NOBODYS = Method(UNKNOWN, UNKNOWN, UNKNOWN)


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
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
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
        self.received = series.received.inc
        self.sent = series.sent.inc
        series.started.inc()

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
    """The handler, telling the RPC's outcome of its messages and its end.

    A streaming one writes its responses here, whether it yields or writes: were it to yield, a client that
    leaves between two of them would go unseen.
    """
    kind, behaviour = behaviour_of(handler)
    receive = _counted if kind.startswith("stream") else _one
    run = _unary if kind.endswith("unary") else _stream

    async def watched(request: Any, context: Context) -> Any:
        outcome = _OUTCOME.get()
        try:
            answer = await run(behaviour, receive(request, outcome), context, outcome)
        except BaseException as error:
            outcome.broke(context, error)
            if isinstance(error, aio.AbortError):
                # grpc keeps it with the call, in a cycle, and its frames would keep the request.
                request = error.__context__ = error.__traceback__ = None
            raise
        outcome.finished(context)
        return answer

    return handler_like(handler, kind, watched)


def _one(request: Any, outcome: RpcOutcome) -> Any:
    outcome.received()
    return request


async def _counted(requests: AsyncIterator[Any], outcome: RpcOutcome) -> AsyncIterator[Any]:
    async for request in requests:
        outcome.received()
        yield request


async def _unary(behaviour: Any, request: Any, context: Context, outcome: RpcOutcome) -> Any:
    answer = await behaviour(request, context)
    outcome.sent()
    return answer


async def _stream(behaviour: Any, request: Any, context: Context, outcome: RpcOutcome) -> None:
    if inspect.iscoroutinefunction(behaviour):
        await behaviour(request, _Writing(context, outcome))
        return
    async with aclosing(behaviour(request, context)) as responses:
        async for response in responses:
            await context.write(response)
            outcome.sent()


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
