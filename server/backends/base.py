"""What runs the models: a seam with two sides, TorchServe and this process."""

from collections.abc import Callable, Sequence
from typing import Protocol

from prometheus_client.registry import Collector
from rdserve.server.repository.archive import Archive
from rdserve.server.worker_protocol import OnLoss

# on_down(reason): everything that a backend ran is gone
OnDown = Callable[[str], None]


class LoadError(RuntimeError):
    """A model that the backend could not load; the message says why."""


class Backend(Protocol):
    """Loads archives, and carries serialized WorkRequests to them."""

    def subscribe(self, on_down: OnDown, on_loss: OnLoss) -> None:
        """Tell these of what ends by itself: everything, or a worker of one model."""

    def collectors(self) -> Sequence[Collector]:
        """Metrics of its own."""

    async def start(self) -> None:
        """Get ready to load. Raises RuntimeError where that fails."""

    async def load(self, archive: Archive) -> None:
        """Load one model under its card's name, in place of what is there; what carries the models is
        started again where it has died. Raises LoadError."""

    async def healed(self, model: str) -> None:
        """Return when a worker that ended has been replaced, without `load`. Raises LoadError where that
        does not happen."""

    async def call(self, model: str, work: bytes) -> bytes:
        """The serialized WorkReply to a serialized WorkRequest.

        Raises:
            BackendUnavailable: nobody answered; the same call may work later.
        """

    async def stop(self, *, within: float = 10.0) -> None:
        """End everything that was started; return when it is gone, after `within` seconds by force."""

    def kill(self) -> None:
        """End everything that was started, now."""
