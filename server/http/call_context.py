"""What interceptors and servicers ask of grpc's context, for a call that came over HTTP."""

from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, NoReturn

from google.rpc.status_pb2 import Status
from grpc import StatusCode, aio
from rdserve.server.http.failure import Failure

# Under which grpc_status hides the status with its details.
DETAILS = "grpc-status-details-bin"

Metadata = Sequence[tuple[str, str | bytes]]


class CallContext:
    """left: seconds until the caller's deadline, None without one. write: takes each message of a stream."""

    def __init__(
        self, left: float | None = None, write: Callable[[Any], Awaitable[None]] | None = None
    ) -> None:
        self.failure: Failure | None = None
        self._end = None if left is None else monotonic() + left
        self._write = write
        self._code: StatusCode | None = None
        self._metadata: Metadata = ()

    def time_remaining(self) -> float | None:
        return None if self._end is None else self._end - monotonic()

    def code(self) -> StatusCode | None:
        return self._code

    def trailing_metadata(self) -> Metadata:
        return self._metadata

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        self._metadata = metadata

    async def write(self, message: Any) -> None:
        assert self._write is not None
        await self._write(message)

    async def abort(self, code: StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:
        """The call ends in an error: `failure` has it."""
        self._code, told = code, dict(trailing_metadata)
        packed = told.pop(DETAILS, None)
        status = Status.FromString(packed) if isinstance(packed, bytes) else Status(message=details)
        self._metadata = tuple(told.items())
        self.failure = Failure(code, status, {str(key): str(value) for key, value in told.items()})
        raise aio.AbortError(details)

    def headers(self) -> list[tuple[str, str]]:
        """What the caller gets beside the answer, or beside the error."""
        if self.failure is not None:
            return self.failure.headers()
        return [(key, str(value)) for key, value in self._metadata]
