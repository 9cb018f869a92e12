"""What can go wrong, each cause with its gRPC status: docs/serving.md has the table. `status` translates."""

from collections.abc import Iterable, Iterator

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details_pb2
from grpc import StatusCode
from rdserve.wire.names import instead

DOMAIN = "rdserve"
RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 30.0
# A status travels in headers, three times over, and peers refuse headers beyond 8 KiB.
MAX_MESSAGE_CHARACTERS = 1000


class StatusError(Exception):
    """An error that a caller is meant to see.

    retry_seconds: how long a caller should wait before it tries again; None where it should not.
    """

    status = StatusCode.INTERNAL
    reason = "INTERNAL"
    retry_seconds: float | None = None

    def __init__(self, message: str, **metadata: str) -> None:
        self.message = message[:MAX_MESSAGE_CHARACTERS]
        super().__init__(self.message)
        self.metadata = metadata

    def details(self) -> Iterator[Message]:
        """The google.rpc details: one ErrorInfo, then what belongs to the cause."""
        yield details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata)
        if self.retry_seconds is not None:
            delay = Duration()
            delay.FromMilliseconds(round(1000 * self.retry_seconds))
            yield details_pb2.RetryInfo(retry_delay=delay)


class InvalidRequest(StatusError):
    status = StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message, field=field)
        self.field = field

    def details(self) -> Iterator[Message]:
        yield from super().details()
        violation = details_pb2.BadRequest.FieldViolation(field=self.field, description=self.message)
        yield details_pb2.BadRequest(field_violations=[violation])


class MissingCredentials(StatusError):
    status = StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class UnknownMethod(StatusError):
    status = StatusCode.UNIMPLEMENTED
    reason = "METHOD_NOT_FOUND"

    def __init__(self, method: str) -> None:
        super().__init__(f"no method {method[:128]} here; is the client newer than the service?")


class UnknownModel(StatusError):
    status = StatusCode.NOT_FOUND
    reason = "MODEL_NOT_FOUND"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name[:128]
        super().__init__(f"no model {self.name!r} here; {instead(self.name, known)}")

    def details(self) -> Iterator[Message]:
        yield from super().details()
        yield details_pb2.ResourceInfo(
            resource_type="rdserve.v1.Model", resource_name=self.name, description=self.message
        )


class FailedModel(StatusError):
    status = StatusCode.FAILED_PRECONDITION
    reason = "MODEL_FAILED"


class ModelNotReady(StatusError):
    status = StatusCode.UNAVAILABLE
    reason = "MODEL_NOT_READY"
    retry_seconds = RETRY_SECONDS


class Stopping(StatusError):
    status = StatusCode.UNAVAILABLE
    reason = "STOPPING"
    retry_seconds = RETRY_SECONDS

    def __init__(self) -> None:
        super().__init__("the service is stopping: it finishes what it has and takes nothing new")


class BackendUnavailable(StatusError):
    status = StatusCode.UNAVAILABLE
    reason = "WORKER_UNAVAILABLE"
    retry_seconds = RETRY_SECONDS

    def __init__(self, message: str, *, worker_ended: bool = False) -> None:
        super().__init__(message)
        self.worker_ended = worker_ended


class WorkerCrashed(StatusError):
    reason = "WORKER_CRASHED"


class Overloaded(StatusError):
    status = StatusCode.RESOURCE_EXHAUSTED
    reason = "QUEUE_FULL"
    retry_seconds = RETRY_SECONDS

    def __init__(self, message: str, *, wait_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_seconds = min(max(RETRY_SECONDS, wait_seconds), MAX_RETRY_SECONDS)


class DeadlineTooShort(StatusError):
    status = StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_TOO_SHORT"

    def __init__(self, model: str, *, wait_seconds: float, left_seconds: float) -> None:
        super().__init__(
            f"model {model!r} would answer in about {wait_seconds:.3g} s and the deadline is in "
            f"{left_seconds:.3g} s; send less at a time, or allow longer",
            wait_seconds=f"{wait_seconds:.3g}",
            left_seconds=f"{left_seconds:.3g}",
        )


class OutOfMemory(StatusError):
    status = StatusCode.RESOURCE_EXHAUSTED
    reason = "OUT_OF_MEMORY"


class NumericError(StatusError):
    reason = "NUMERIC_FAILURE"


class Defect(StatusError):
    def __init__(self, error_id: str) -> None:
        super().__init__(
            f"internal error {error_id}; the service's log has the rest under this id", error_id=error_id
        )


def pushback_ms(error: type[StatusError] | StatusError) -> int:
    """What `grpc-retry-pushback-ms` says: when to retry, as RetryInfo does, or -1 for never."""
    return -1 if error.retry_seconds is None else round(1000 * error.retry_seconds)
