"""Checkpoint folder -> .mar archive, for checkpoints that load and score only."""

import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rdserve.models.card import CARD_FILE, Card, CardError, OnnxCard, card_text, read_card
from rdserve.models.worker.memory import bound_memory_for
from rdserve.server.errors import StatusError
from rdserve.server.repository.archive import MANIFEST_FILE, SUFFIX, installed_handler, manifest_model
from rdserve.server.repository.selftest import SELFTEST_FILE, SelfTest, SelfTestError, questions
from rdserve.server.worker_protocol import decode_reply, encode_request

# Whose manifests ours are like.
ARCHIVER_VERSION = "0.12.0"


class PackagingError(ValueError):
    """A checkpoint that is not packaged; the message says why."""


def package(checkpoint: Path, store: Path) -> Path:
    """Verify a checkpoint and write NAME.mar into the store; whoever reads there sees all of it or nothing.

    Raises:
        PackagingError: the card breaks the contract, the weights are not those that it describes,
            the model does not score, or not as its card states.
    """
    card, selftest = verify(checkpoint)
    store.mkdir(parents=True, exist_ok=True)
    target = store / f"{card.name}{SUFFIX}"
    # Beside its target: a rename within one folder is atomic.
    with tempfile.TemporaryDirectory(dir=store, prefix=".packaging-") as scratch:
        made = Path(scratch) / target.name
        _write(made, checkpoint, card, selftest)
        made.replace(target)
    return target


def verify(checkpoint: Path) -> tuple[Card, SelfTest]:
    """Card, hash, shapes, the card's rate and distortion; and scores for the service to reproduce.

    Raises:
        PackagingError: as `package`.
    """
    from rdserve.models.worker.worker import Worker

    try:
        read_card(checkpoint)
        worker = Worker.load(checkpoint)
        if isinstance(worker.card, OnnxCard):
            from rdserve.models.onnx.checks import check

            check(worker.card, worker.vae, checkpoint)
        asked = questions(worker.card, checkpoint)
        request = asked.request(worker.card)
        response = decode_reply(request, worker.work([encode_request(request)])[0]).response
        return worker.card, asked.answered(worker.card, response)  # type: ignore[arg-type]
    except (CardError, SelfTestError, StatusError, MemoryError) as error:
        raise PackagingError(_located(error, checkpoint)) from None


def _located(error: Exception, checkpoint: Path) -> str:
    message = str(error)
    return message if str(checkpoint) in message else f"{checkpoint}: {message}"


def _write(archive: Path, checkpoint: Path, card: Card, selftest: SelfTest) -> None:
    """The same members, with the same bytes, as torch-model-archiver writes."""
    manifest = {
        "createdOn": datetime.now().strftime("%d/%m/%Y %H:%M:%S"),
        "runtime": "python",
        "model": manifest_model(card),
        "archiverVersion": ARCHIVER_VERSION,
    }
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(MANIFEST_FILE, json.dumps(manifest, indent=2))
        for path in (installed_handler(), *(checkpoint / name for name in card.files)):
            file.write(path, path.name)
        file.writestr(CARD_FILE, card_text(card))
        file.writestr(SELFTEST_FILE, selftest.model_dump_json())


def main(arguments: Sequence[str]) -> None:
    """Package into arguments[0] the checkpoints after it; report each as a line of JSON.

    The service runs this in a process of its own, which keeps torch out of the front.
    """
    store, *checkpoints = map(Path, arguments)
    for checkpoint in checkpoints:
        outcome = {"checkpoint": str(checkpoint), "archive": "", "error": ""}
        try:
            bound_memory_for(checkpoint)
            outcome["archive"] = str(package(checkpoint, store))
        except (PackagingError, CardError) as error:
            outcome["error"] = str(error)
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(sys.argv[1:])
