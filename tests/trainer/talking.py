"""Train into a folder, a line on stdout for each step and epoch: what the tests of interruption run.

`python talking.py FOLDER CONFIG_AS_JSON`
"""

import importlib
import json
import sys
from pathlib import Path

from rdserve.models.reference import Means
from rdserve.trainer import Stopped
from rdserve.trainer.config import parse
from rdserve.trainer.progress import TrainingProgress

loop = importlib.import_module("rdserve.trainer.train")


class Talking(TrainingProgress):
    def stepped(self, epoch: float, train: Means) -> None:
        print(f"step {epoch:.2f}", flush=True)

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        print(f"epoch {epoch}", flush=True)


if __name__ == "__main__":
    loop.TELL_EVERY_STEPS = 1
    try:
        loop.train(parse(json.loads(sys.argv[2])), Path(sys.argv[1]), name="model", progress=Talking())
    except Stopped as stopped:
        print(stopped)
        sys.exit(130)
