"""Tables: .csv, and .parquet with pyarrow. A row is an example, a column one of its numbers.

A column named split says which split a row is of (without one, all are test); one named label is the class.
"""

import csv
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rdserve.data.errors import DataError
from rdserve.data.files.contents import ONE_SPLIT, Contents, checked_labels, split_named
from rdserve.data.kinds import Array

PARQUET = b"PAR1"
SPLIT, LABEL = "split", "label"


def read_csv(path: Path) -> Contents:
    """Numbers divided by commas; the first line names the columns, where it is no numbers.

    Whole numbers throughout are read as such, else all are float64.

    Raises:
        DataError: something that is no number outside of the column split, lines of several lengths, or a
            split that is none.
        OSError: it cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")
        first = next(csv.reader(io.StringIO(text)), [])
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8: {error}") from None
    except csv.Error as error:
        raise DataError(f"{path} does not begin with columns: {error}") from None
    named = not all(map(_is_number, first))
    names = [name.strip() for name in first] if named else [str(place) for place in range(len(first))]
    if len(set(names)) < len(names):
        raise DataError(f"{path}: each column has a name of its own, got {', '.join(names)}")

    def column(places: Sequence[int], dtype: Any) -> Array:
        return np.loadtxt(
            io.StringIO(text),
            dtype,
            delimiter=",",
            skiprows=int(named),
            usecols=places,
            ndmin=2,
            quotechar='"',
            comments=None,
        )

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy warns of a file without rows
        return _contents(path, names, column)


def _contents(path: Path, names: Sequence[str], column: Callable[[Sequence[int], Any], Array]) -> Contents:
    own = [place for place, name in enumerate(names) if name not in (SPLIT, LABEL)]
    if not own:
        raise DataError(f"{path} has no columns of numbers, only {', '.join(names) or 'an empty line'}")
    try:
        x = _whole_or_real(own, column)
        labels = _whole_or_real([names.index(LABEL)], column)[:, 0] if LABEL in names else None
        splits = column([names.index(SPLIT)], str)[:, 0] if SPLIT in names else None
    except (ValueError, UserWarning) as error:
        raise DataError(
            f"{path}: {str(error).rstrip('.')}; columns are numbers, but for one named {SPLIT}; "
            "leave others out of the file"
        ) from None
    return by_split(path, x, labels, splits, [names[place] for place in own])


def _whole_or_real(places: Sequence[int], column: Callable[[Sequence[int], Any], Array]) -> Array:
    try:
        return column(places, np.int64)
    except ValueError:
        return column(places, np.float64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_parquet(path: Path) -> Contents:
    """Columns of numbers or truth values.

    Raises:
        DataError: other columns, values that are missing, a split that is none, or no pyarrow.
    """
    try:
        from pyarrow import lib, parquet
    except ImportError:
        raise DataError("parquet files are read with pyarrow; pip install 'rdserve[data]'") from None
    try:
        table = parquet.read_table(path)
    except (lib.ArrowException, ValueError) as error:
        raise DataError(f"{path}: not a readable parquet file ({error})") from error
    arrays = {name: _array(table[name], f"{path}, column {name!r}", name) for name in table.column_names}
    names = [name for name in arrays if name not in (SPLIT, LABEL)]
    if not names:
        raise DataError(f"{path} has no columns of numbers, only {', '.join(arrays) or 'nothing'}")
    x = np.column_stack([arrays[name] for name in names])
    return by_split(path, x, arrays.get(LABEL), arrays.get(SPLIT), names)


def _array(column: Any, where: str, name: str) -> Array:
    if column.null_count:
        raise DataError(
            f"{where}: {column.null_count} of {len(column)} values are missing; leave those rows out"
        )
    found: Array = np.asarray(column.to_numpy())
    if name != SPLIT and found.dtype.kind not in "buif":
        raise DataError(f"{where} holds {column.type}, not numbers; leave it out of the file")
    return found


def by_split(
    path: Path, x: Array, labels: Array | None, splits: Array | None, columns: Sequence[str]
) -> Contents:
    """The rows of a table under the splits that they name, in the order of the file."""
    if splits is None:
        splits = np.full(len(x), ONE_SPLIT)
    known: Mapping[Any, str | None] = {each: split_named(str(each).strip()) for each in np.unique(splits)}
    if strangers := [str(each) for each, split in known.items() if split is None]:
        raise DataError(f"{path}: column {SPLIT} says train, valid or test, got {', '.join(strangers[:5])}")
    rows = {
        split: np.isin(splits, [each for each in known if known[each] == split]) for split in known.values()
    }
    where = {str(split): chosen for split, chosen in rows.items()}
    found = {} if labels is None else {split: labels[chosen] for split, chosen in where.items()}
    return Contents(
        {split: x if chosen.all() else x[chosen] for split, chosen in where.items()},
        {split: checked_labels(each, len(each), f"{path}, {split}") for split, each in found.items()},
        tuple(columns),
    )
