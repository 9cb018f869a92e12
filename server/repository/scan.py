"""What lies in a models folder: archives, checkpoint folders, both; good ones and bad ones."""

import asyncio
import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rdserve.models.card import CARD_FILE
from rdserve.server.repository.archive import SUFFIX, Archive, ArchiveError, open_archive
from rdserve.server.settings import SettingsError
from rdserve.v1 import vae_pb2

log = logging.getLogger(__name__)


RESERVED = frozenset(service.full_name for service in vae_pb2.DESCRIPTOR.services_by_name.values())
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True)
class RepositoryModel:
    """One model found. archive: None where it cannot be served; `reason` then says why.

    path: the archive's, which may be mended while the service runs; None for a bad checkpoint.
    """

    name: str
    archive: Archive | None
    reason: str = ""
    path: Path | None = None


@dataclass(frozen=True)
class ScanResult:
    """The paths of a models folder, sorted."""

    archives: list[Path]
    checkpoints: list[Path]


def scan(models: Path) -> ScanResult:
    """What a models folder holds.

    Raises:
        SettingsError: no such folder, or nothing in it to serve.
    """
    if not models.is_dir():
        raise SettingsError(f"no folder {models}")
    if (models / CARD_FILE).is_file():
        return ScanResult([], [models])
    archives = sorted(models.glob(f"*{SUFFIX}"))
    checkpoints = sorted(card.parent for card in models.glob(f"*/{CARD_FILE}"))
    if not archives and not checkpoints:
        raise SettingsError(
            f"{models} holds no {SUFFIX} archive and no checkpoint folder (one with a {CARD_FILE})"
        )
    return ScanResult(archives, checkpoints)


async def load_all(found: ScanResult, scratch: Path) -> list[RepositoryModel]:
    """Verify every archive; package every checkpoint into `scratch`, and verify that too."""
    models = [await asyncio.to_thread(_open, path, path.stem) for path in found.archives]
    models += await _package(found.checkpoints, scratch)
    return list(_first_of_each_name(map(_in_text, models)))


def _in_text(model: RepositoryModel) -> RepositoryModel:
    """Names and reasons as lines of text: a bad file's name may be any bytes, and ends up in messages."""
    reason = " ".join(model.reason.encode("utf-8", "backslashreplace").decode().split())
    return replace(model, name=_NO_NAME.sub("_", model.name), reason=reason)


def _open(path: Path, name: str) -> RepositoryModel:
    try:
        archive = open_archive(path)
    except ArchiveError as error:
        return RepositoryModel(name, None, str(error), path)
    return RepositoryModel(archive.card.name, archive, path=path)


async def _package(checkpoints: Sequence[Path], store: Path) -> list[RepositoryModel]:
    """In a process of its own: packaging runs the models, and the front holds no torch."""
    if not checkpoints:
        return []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rdserve.server.repository.packaging", str(store), *map(str, checkpoints)),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    outcomes = {line["checkpoint"]: line for line in map(json.loads, output.splitlines())}
    return [_packaged(path, outcomes.get(str(path))) for path in checkpoints]


def _packaged(checkpoint: Path, outcome: dict[str, str] | None) -> RepositoryModel:
    if outcome is None:
        return RepositoryModel(checkpoint.name, None, f"{checkpoint}: packaging it crashed; see the log")
    if outcome["error"]:
        return RepositoryModel(checkpoint.name, None, outcome["error"])
    return _open(Path(outcome["archive"]), checkpoint.name)


def _first_of_each_name(models: Iterable[RepositoryModel]) -> Iterable[RepositoryModel]:
    seen: set[str] = set()
    for model in models:
        if model.name in RESERVED:
            log.warning("%s is the service's own name in health checks, no model's; left out", model.name)
            continue
        if model.name in seen:
            log.warning("model %s is there more than once; the first one counts, archives first", model.name)
            continue
        seen.add(model.name)
        yield model
