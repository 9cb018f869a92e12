"""Ids of groups from files."""

from pathlib import Path

import numpy as np
import pytest
from rdserve.cli.commands.compare import ImageOptions
from rdserve.cli.group_files import read_groups
from rdserve.client import InputError


def test_ids_come_from_arrays_tables_and_lines(tmp_path: Path) -> None:
    names = np.array(["ann", "bo", "ann"])
    np.save(tmp_path / "g.npy", names)
    np.savez(tmp_path / "g.npz", groups=[4, 5, 4], labels=[1, 2, 3])
    (tmp_path / "g.csv").write_text('page,who\r\n1,ann\r\n2,"bo"\r\n3,ann\r\n', newline="")
    (tmp_path / "g.tsv").write_text("who\nann\nbo\nann\n")
    (tmp_path / "g.txt").write_text("ann\nbo\nann\n")
    for name, column in (("g.npy", None), ("g.csv", "who"), ("g.tsv", None), ("g.txt", None)):
        assert read_groups(tmp_path / name, column).tolist() == names.tolist()
    assert read_groups(tmp_path / "g.npz", None).tolist() == [4, 5, 4]


@pytest.mark.parametrize(
    ("name", "text", "column", "says"),
    [
        ("g.csv", "page,who\n1,a\n", None, "has the columns page, who: name one with --group-column"),
        ("g.csv", "page,who\n1,a\n", "writer", "has the columns page, who: none is 'writer'"),
        ("g.csv", "page,who\n1,a\n2\n", "who", "line 3 has no column 'who'"),
        ("g.csv", "", "who", "has the columns of nothing"),
        ("g.txt", "a\n", "who", "--group-column is of a table"),
        ("g.npy", "a\n", None, "is no .npy or .npz file"),
        ("missing.txt", None, None, "cannot read .*: No such file"),
    ],
)
def test_what_holds_no_ids_is_refused(
    tmp_path: Path, name: str, text: str | None, column: str | None, says: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=says):
        read_groups(tmp_path / name, column)


def test_ids_are_one_for_each_image(tmp_path: Path) -> None:
    file = tmp_path / "g.txt"
    file.write_text("a\n" * 7)
    with pytest.raises(InputError, match="holds 7 group ids for 400 images: give one for each"):
        ImageOptions(groups=file).read(lambda shape: (), disagree=False)
    assert len(ImageOptions(groups=file, limit=5).read(lambda shape: (), disagree=False).groups) == 5  # type: ignore[arg-type]
    with pytest.raises(InputError, match="--group-column is of --groups FILE"):
        ImageOptions(group_column="who").read(lambda shape: (), disagree=False)
