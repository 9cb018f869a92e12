"""What a service says of its health, as it says it."""

import threading
import time
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

Status = HealthCheckResponse.ServingStatus


class Watch:
    """with Watch(channel, name) as watch: ... watch.until("NOT_SERVING")"""

    def __init__(self, channel: grpc.Channel, name: str) -> None:
        self._stream = HealthStub(channel).Watch(HealthCheckRequest(service=name))
        self._more = threading.Condition()
        self.seen: list[tuple[str, float]] = []
        self._used = 0
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.until("SERVING")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.cancel()
        self._thread.join()

    def until(self, status: str, *, timeout: float = 120) -> float:
        """The time at which this status came, or comes, after those asked for before."""
        with self._more:
            if not self._more.wait_for(lambda: status in self._new(), timeout):
                raise AssertionError(f"no {status} within {timeout} s, but {self.statuses}")
            self._used += self._new().index(status) + 1
            return self.seen[self._used - 1][1]

    @property
    def statuses(self) -> list[str]:
        """All so far."""
        return [status for status, _ in self.seen]

    def _new(self) -> list[str]:
        return self.statuses[self._used :]

    def _read(self) -> None:
        try:
            for answer in self._stream:
                with self._more:
                    self.seen.append((Status.Name(answer.status), time.monotonic()))
                    self._more.notify_all()
        except grpc.RpcError:
            pass
