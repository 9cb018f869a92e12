"""How long a model's work takes, learnt from the calls it has answered."""

import contextlib
import math
from collections import Counter
from collections.abc import Iterator

# Weight of the newest call; about the last 20 count.
WEIGHT = 0.1


class LinearLatency:
    """seconds = a + b * samples, fitted to calls by exponentially weighted least squares."""

    def __init__(self) -> None:
        self._n = self._t = self._nn = self._nt = 0.0
        self.known = False

    def learn(self, samples: int, seconds: float) -> None:
        """One call that held `samples` and kept its worker busy for `seconds`."""
        weight = WEIGHT if self.known else 1.0
        self.known = True
        self._n += weight * (samples - self._n)
        self._t += weight * (seconds - self._t)
        self._nn += weight * (samples**2 - self._nn)
        self._nt += weight * (samples * seconds - self._nt)

    def seconds(self, calls: int, samples: int) -> float:
        """What that many calls, of that many samples together, will take; 0 where nothing is known."""
        variance = self._nn - self._n**2
        # Calls of one size say nothing of another: then a larger one is thought to take no longer, since
        # refusing work that could be done is the worse error.
        slope = 0.0
        if variance > 0.01 * self._n**2:
            slope = max(0.0, (self._nt - self._n * self._t) / variance)
        return calls * max(0.0, self._t - slope * self._n) + slope * samples


class LatencyModel:
    """One model's speed per op, and the work that it has been given and has not done."""

    def __init__(self, max_samples: int) -> None:
        self._max_samples = max_samples
        self._lines: dict[str, LinearLatency] = {}
        self._ahead: Counter[str] = Counter()

    def learn(self, op: str, samples: int, seconds: float) -> None:
        """A call that was answered."""
        self._lines.setdefault(op, LinearLatency()).learn(samples, seconds)

    def call_seconds(self, op: str, samples: int) -> float | None:
        """What one call should take; None where no call of its op has been answered yet."""
        line = self._lines.get(op)
        return None if line is None else line.seconds(1, samples)

    def wait_seconds(self, op: str, samples: int) -> float:
        """Until a request that comes now is answered: what lies before it, and itself."""
        work = self._ahead + Counter({op: samples})
        return sum(
            self._lines[each].seconds(math.ceil(n / self._max_samples), n)
            for each, n in work.items()
            if each in self._lines
        )

    @contextlib.contextmanager
    def holding(self, op: str, samples: int) -> Iterator[None]:
        """The work is the model's to do while this is open."""
        self._ahead[op] += samples
        try:
            yield
        finally:
            self._ahead[op] -= samples
