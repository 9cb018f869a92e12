"""A run that a test kills: prints "model rows" for each chunk that is on disk."""

import sys
from pathlib import Path

from rdserve.client import Client
from rdserve.compare.scoring.run import run
from rdserve.data import load


def main() -> None:
    folder, address = sys.argv[1:]
    images = load("digits", split="train").images
    with Client(address) as client:
        run(
            client,
            client.models(),
            images,
            folder=Path(folder),
            on_progress=lambda model, rows: print(model, rows, flush=True),
        )


if __name__ == "__main__":
    main()
