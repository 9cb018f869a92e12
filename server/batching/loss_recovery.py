"""Calls whose worker was lost: sent once more, so that it shows which request ends its worker."""

from collections import deque
from collections.abc import Callable
from enum import Enum

from rdserve.server.batching.in_flight import InFlightBatch
from rdserve.server.batching.pending import PendingRequest
from rdserve.server.errors import BackendUnavailable, WorkerCrashed
from rdserve.server.observability.batch_observer import BatchObserver


class SendState(Enum):
    """What a model may be sent: nothing; suspects, one by one; everything."""

    HELD = "held"
    ISOLATING = "isolating"
    SENDING = "sending"


class LossRecovery:
    """A suspect rode in a call that was lost. Once the model is back, each is sent by itself and with nothing
    else under way; a second loss is then its own doing. on_loss: hears of every call that was lost."""

    def __init__(self, on_loss: Callable[[BackendUnavailable], None], observer: BatchObserver) -> None:
        self._on_loss = on_loss
        self._observer = observer
        self.suspects: deque[PendingRequest] = deque()
        self._held = False

    def state(self) -> SendState:
        """Now; suspects that nobody waits for are dropped."""
        if self._held:
            return SendState.HELD
        while self.suspects and self.suspects[0].settled:
            self.suspects.popleft()
        return SendState.ISOLATING if self.suspects else SendState.SENDING

    def hold(self) -> None:
        """The model is away."""
        self._held = True

    def resume(self) -> None:
        """The model is back."""
        self._held = False

    def next_suspect(self) -> InFlightBatch:
        """The oldest, by itself."""
        return InFlightBatch([self.suspects.popleft()], isolated=True)

    def lost(self, batch: InFlightBatch, error: BackendUnavailable) -> None:
        """The worker took the call with it."""
        self.hold()
        if not batch.isolated:
            self.suspects.extend(batch.requests)
            model = batch.requests[0].request.model
            self._observer.retried(model, len(batch.requests), "worker_lost")
        elif error.worker_ended:
            crashed = f"{error.message}; twice, the second time on this request alone"
            batch.requests[0].fail(WorkerCrashed(crashed))
        else:
            batch.requests[0].fail(error)
        self._on_loss(error)
