"""Checkpoint folder -> .mar archive, for checkpoints that load and score only."""

import contextlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from rdserve.models.card import CARD_FILE, Card, CardError, OnnxCard, read_card, write_card
from rdserve.server.errors import StatusError
from rdserve.server.repository.archive import SUFFIX, installed_handler
from rdserve.server.repository.selftest import SELFTEST_FILE, SelfTest, SelfTestError, questions
from rdserve.server.worker_protocol import decode_reply, encode_request


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
        _archive(checkpoint, card, selftest, Path(scratch)).replace(target)
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
    except (CardError, SelfTestError, StatusError) as error:
        raise PackagingError(_located(error, checkpoint)) from None


def _located(error: Exception, checkpoint: Path) -> str:
    message = str(error)
    return message if str(checkpoint) in message else f"{checkpoint}: {message}"


def _archive(checkpoint: Path, card: Card, selftest: SelfTest, scratch: Path) -> Path:
    with warnings.catch_warnings(category=ResourceWarning, action="ignore"):  # it leaves a file open
        from model_archiver.model_packaging import generate_model_archive
        from model_archiver.model_packaging_utils import ModelArchiverConfig

    out, temporary = scratch / "out", scratch / "tmp"
    out.mkdir()
    temporary.mkdir()
    (scratch / SELFTEST_FILE).write_text(selftest.model_dump_json())
    write_card(card, scratch)
    first, *rest = card.files
    others = [checkpoint / name for name in rest]
    config = ModelArchiverConfig(
        model_name=card.name,
        version=card.version,
        handler=str(installed_handler()),
        serialized_file=str(checkpoint / first),
        extra_files=",".join(map(str, (scratch / CARD_FILE, scratch / SELFTEST_FILE, *others))),
        export_path=str(out),
    )
    with _temporary_folder(temporary):
        generate_model_archive(config)
    return out / f"{card.name}{SUFFIX}"


@contextlib.contextmanager
def _temporary_folder(folder: Path) -> Iterator[None]:
    """The archiver removes $TMPDIR/<model name>, whatever lies there: give it a folder of its own."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def main(arguments: Sequence[str]) -> None:
    """Package into arguments[0] the checkpoints after it; report each as a line of JSON.

    The service runs this in a process of its own, which keeps torch out of the front.
    """
    store, *checkpoints = map(Path, arguments)
    for checkpoint in checkpoints:
        outcome = {"checkpoint": str(checkpoint), "archive": "", "error": ""}
        try:
            outcome["archive"] = str(package(checkpoint, store))
        except PackagingError as error:
            outcome["error"] = str(error)
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(sys.argv[1:])
