"""Ids of groups from files: an array, a column of a CSV file, or a line for each image."""

import csv
from pathlib import Path

import numpy as np
from rdserve.cli.image_files import Array, read_array
from rdserve.client import InputError

ARRAYS, TABLES = (".npy", ".npz"), (".csv", ".tsv")


def read_groups(file: Path, column: str | None) -> Array:
    """Ids, numbers or names, as the file has them.

    column: of a .csv or .tsv file with a line of headings; of any other, and of a table of one column, none.

    Raises:
        InputError: a file that cannot be read, or a column that is not there.
    """
    if file.suffix in TABLES:
        return _column(file, column)
    if column is not None:
        raise InputError(f"--group-column is of a table ({', '.join(TABLES)}), {file} is none")
    return read_array(file, "groups") if file.suffix in ARRAYS else np.array(_text(file).split("\n"))


def _column(file: Path, column: str | None) -> Array:
    lines = list(csv.reader(_text(file).split("\n"), delimiter="\t" if file.suffix == ".tsv" else ","))
    heads = lines[0] if lines else []
    wanted = heads[0] if column is None and len(heads) == 1 else column
    if wanted not in heads:
        asked = "name one with --group-column" if column is None else f"none is {column!r}"
        raise InputError(f"{file} has the columns {', '.join(heads) or 'of nothing'}: {asked}")
    at = heads.index(wanted)
    if short := [number for number, line in enumerate(lines, 1) if len(line) <= at]:
        raise InputError(f"{file}: line {short[0]} has no column {wanted!r}")
    return np.array([line[at] for line in lines[1:]])


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").replace("\r\n", "\n").rstrip("\n")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text in UTF-8; numpy.save writes a .npy") from error
