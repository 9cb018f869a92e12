"""The log: one line of JSON per record, one record per request, never what a request holds."""

import faulthandler
import json
import logging
import sys
from datetime import UTC, datetime
from time import monotonic

from grpc import StatusCode
from rdserve.server.observability.call_context import Method, RpcContext

REQUESTS = "rdserve.request"
# Health checks and reflection, which come every few seconds, are DEBUG.
QUIET = ("grpc.",)
PROBES = ("ServerLive", "ServerReady")
# Faults of this side.
OURS = (StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS)
# Models of one comparison that its line names.
MAX_NAMED = 16
DEFAULT_PER_MINUTE = 60
# Slower answers always have a line.
SLOW_SECONDS = 5.0

log = logging.getLogger(REQUESTS)
_encode = json.JSONEncoder(ensure_ascii=False).encode


class JsonLines(logging.Formatter):
    """A record as one line of JSON; `extra={"facts": ...}` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        members: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        members |= getattr(record, "facts", {})
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return _encode(members)


def set_up(*, requests: bool, per_minute: int = DEFAULT_PER_MINUTE) -> None:
    """Warnings and worse to stderr; with `requests` lines for those too, sampled as `LogSampling` says."""
    global _sampling
    _sampling = LogSampling(per_minute)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    log.setLevel(logging.INFO if requests else logging.WARNING)
    # A crash of native code leaves the stack of every thread.
    faulthandler.enable()


def crashed(error: BaseException) -> None:
    """The service ends because of this."""
    logging.getLogger("rdserve").critical(
        "the service crashed: %s: %s", type(error).__name__, error, exc_info=error
    )


class LogSampling:
    """Which requests get a line: of each method and status so many a minute, the first ones whole.

    Faults of this side always do, and slow answers; no storm of callers makes many of either.
    """

    def __init__(self, per_minute: int) -> None:
        self._most = per_minute
        # Method and status -> lines left, when that was, calls without a line since the last one with.
        self._kinds: dict[tuple[str, StatusCode], tuple[float, float, int]] = {}

    def left_out(self, method: str, code: StatusCode, seconds: float, now: float) -> int | None:
        """None where this call gets no line; else how many of its kind got none since the last that did."""
        left, before, out = self._kinds.get((method, code), (float(self._most), now, 0))
        left = min(self._most, left + (now - before) * self._most / 60)
        always = code in OURS or (code is StatusCode.OK and seconds > SLOW_SECONDS)
        if left < 1 and not always:
            self._kinds[method, code] = (left, now, out + 1)
            return None
        self._kinds[method, code] = (max(0.0, left - 1), now, 0)
        return out


_sampling = LogSampling(DEFAULT_PER_MINUTE)


def request(rpc: RpcContext, method: Method, code: StatusCode, seconds: float) -> None:
    """One request's line, where it gets one."""
    level = logging.ERROR if code in OURS else logging.INFO
    quiet = method.grpc_service.startswith(QUIET) or method.grpc_method in PROBES
    if quiet and code not in OURS:
        level = logging.DEBUG
    if not log.isEnabledFor(level):
        return
    left_out = _sampling.left_out(method.grpc_method, code, seconds, monotonic())
    if left_out is None:
        return
    facts = _facts(rpc, method, code, seconds) | ({"left_out": left_out} if left_out else {})
    # Made here: the logger would walk the stack for the name of this function.
    said = f"{method.grpc_method} {code.name}"
    record = log.makeRecord(REQUESTS, level, __file__, 0, said, (), None, extra={"facts": facts})
    log.handle(record)


def _facts(rpc: RpcContext, method: Method, code: StatusCode, seconds: float) -> dict[str, object]:
    facts: dict[str, object] = {
        "request_id": rpc.request_id,
        "method": method.grpc_method,
        "code": code.name,
        "reason": rpc.reason,
        "model": rpc.model,
        "model_version": rpc.version,
        "trace_id": rpc.trace_id,
        "seconds": round(seconds, 6),
    }
    if len(rpc.models) > 1:
        facts |= {"models": list(rpc.models)[:MAX_NAMED], "model_count": len(rpc.models)}
    if rpc.batch_rows:
        facts |= {
            "queue_seconds": round(rpc.queue_seconds, 6),
            "compute_seconds": round(rpc.compute_seconds, 6),
            "batch_rows": rpc.batch_rows,
        }
    return {name: value for name, value in facts.items() if value != ""}
