"""Faults that a request to a running service can ask for, and what reached its workers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from polling import until
from rdserve.v1.vae_pb2 import NoiseKeys, ScoreRequest
from rdserve.wire import tensors

# Noise seeds with a meaning, see faulty/sitecustomize.py.
HELD = 9001  # waits in the worker until `Faults.release`
KILLS = 9002  # ends its worker
KILLS_ONCE = 9003
BUG = 9004
NAN = 9005
NO_MEMORY = 9006
HANGS = 9007  # stops its worker
SLOW = 9008  # 50 ms a call
HELD_IN_ROW = 9009  # waits in the third row of pixels until `Faults.release`, or until nobody waits


@dataclass(frozen=True)
class Faults:
    """The folder through which a test and the workers of its service talk."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of a service whose workers obey."""
        return {
            "RDSERVE_FAULTS": str(self.folder),
            "PYTHONPATH": str(Path(__file__).with_name("faulty")),
        }

    def reached(self, seed: int) -> list[tuple[int, str, int]]:
        """(process id, model, rows) of each call with this seed that reached a worker."""
        trace = self.folder / "trace"
        rows = [line.split() for line in trace.read_text().splitlines()] if trace.exists() else []
        return [
            (int(pid), model, int(n))
            for pid, model, _, n, seeds in (row for row in rows if len(row) == 5)
            if str(seed) in seeds.split(",")
        ]

    def rows(self) -> list[int]:
        """The rows of pixels that were drawn, since the first HELD_IN_ROW."""
        trace = self.folder / "rows"
        return [int(line) for line in trace.read_text().split()] if trace.exists() else []

    def until_reached(self, seed: int, times: int = 1) -> int:
        """Return when a worker has begun such a call: the worker's process id."""
        until(lambda: len(self.reached(seed)) >= times)
        return self.reached(seed)[-1][0]

    def release(self) -> None:
        """Let HELD calls go on, those to come too."""
        (self.folder / "open").touch()

    def reset(self) -> None:
        """Forget what reached the workers, hold HELD calls again."""
        for name in ("open", "trace", "died", "rows", "held"):
            (self.folder / name).unlink(missing_ok=True)


IMAGES = np.random.default_rng(5).random((4, 8, 8)) < 0.4


def score(model: str, seed: int, *, rows: int = 4, samples: int = 1) -> ScoreRequest:
    """Score `rows` images with the noise, or the fault, of `seed`."""
    images = np.resize(IMAGES, (rows, 8, 8))
    return ScoreRequest(
        model=model, images=tensors.to_message(images), noise=NoiseKeys(seed=seed), n_samples=samples
    )
