"""What can go wrong, each cause with its gRPC status. `interceptors` translates, once.

ServiceError
├── InvalidArgument      INVALID_ARGUMENT    the request, or its fit to the model
├── Unauthenticated      UNAUTHENTICATED     no token, or one that is not known
├── UnknownModel         NOT_FOUND
├── ModelNotReady        UNAVAILABLE         loading, failed, or the service is stopping
├── BackendUnavailable   UNAVAILABLE         the worker died or does not answer
├── Overloaded           RESOURCE_EXHAUSTED  the queue is full
├── OutOfMemory          RESOURCE_EXHAUSTED  one request too large for a worker
├── NumericFailure       INTERNAL            the model produced NaN or an infinity
└── Defect               INTERNAL            a bug; the log has the rest, under the same id
"""

from collections.abc import Iterable, Iterator

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details_pb2
from grpc import StatusCode

DOMAIN = "rdserve"
RETRY_SECONDS = 1.0
# A status travels in headers, three times over, and peers refuse headers beyond 8 KiB.
MAX_MESSAGE_CHARACTERS = 1000


class ServiceError(Exception):
    """An error that a caller is meant to see."""

    status = StatusCode.INTERNAL
    reason = "INTERNAL"
    # How long a caller should wait before it tries again; None where trying again is of no use.
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


class InvalidArgument(ServiceError):
    status = StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message, field=field)
        self.field = field

    def details(self) -> Iterator[Message]:
        yield from super().details()
        violation = details_pb2.BadRequest.FieldViolation(field=self.field, description=self.message)
        yield details_pb2.BadRequest(field_violations=[violation])


class Unauthenticated(ServiceError):
    status = StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class UnknownModel(ServiceError):
    status = StatusCode.NOT_FOUND
    reason = "MODEL_NOT_FOUND"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        listed = ", ".join(names[:20]) + more
        super().__init__(f"no model {name[:128]!r} here; there are: {listed or 'none'}")
        self.name = name[:128]

    def details(self) -> Iterator[Message]:
        yield from super().details()
        yield details_pb2.ResourceInfo(
            resource_type="rdserve.v1.Model", resource_name=self.name, description=self.message
        )


class ModelNotReady(ServiceError):
    status = StatusCode.UNAVAILABLE
    reason = "MODEL_NOT_READY"
    retry_seconds = RETRY_SECONDS


class BackendUnavailable(ServiceError):
    status = StatusCode.UNAVAILABLE
    reason = "WORKER_UNAVAILABLE"
    retry_seconds = RETRY_SECONDS


class Overloaded(ServiceError):
    status = StatusCode.RESOURCE_EXHAUSTED
    reason = "QUEUE_FULL"
    retry_seconds = RETRY_SECONDS


class OutOfMemory(ServiceError):
    status = StatusCode.RESOURCE_EXHAUSTED
    reason = "OUT_OF_MEMORY"


class NumericFailure(ServiceError):
    reason = "NUMERIC_FAILURE"


class Defect(ServiceError):
    reason = "INTERNAL"

    def __init__(self, error_id: str) -> None:
        super().__init__(
            f"internal error {error_id}; the service's log has the rest under this id", error_id=error_id
        )
