"""Files of one's own: the same x from every form, rows in the file's order, refusals that say what to do."""

import gzip
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rdserve.data import SPLITS, DataError, load, read
from rdserve.data.preprocessing import Levels

Array = NDArray[Any]
GREY = {split: load("digits-grey", split=split) for split in SPLITS}
TEST = GREY["test"].x
LABELS = GREY["test"].labels


def idx(x: Array) -> bytes:
    """As the idx format has it, of bytes."""
    return bytes([0, 0, 8, x.ndim]) + np.array(x.shape, ">u4").tobytes() + x.astype(np.uint8).tobytes()


def png(folder: Path, x: Array, name: Callable[[int], str] = "{:04}.png".format) -> None:
    for place, pixels in enumerate(x):
        path = folder / name(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def test_an_npz_is_a_data_set_with_its_splits_and_labels(tmp_path: Path) -> None:
    arrays = {split: GREY[split].x for split in SPLITS}
    labels = {f"{split}_label": GREY[split].labels for split in SPLITS}
    np.savez(path := tmp_path / "own.npz", **arrays, **labels, notes=np.zeros(3))
    for split in SPLITS:
        data = load(str(path), split=split, steps=[Levels(17)])
        np.testing.assert_array_equal(data.x, GREY[split].x)
        np.testing.assert_array_equal(data.labels, GREY[split].labels)
        assert (data.name, data.levels, data.sha256) == ("own.npz", 17, GREY[split].sha256)
        assert data.file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_binary_images_of_any_dtype_have_the_hash_of_digits(tmp_path: Path) -> None:
    digits = {split: load("digits", split=split) for split in SPLITS}
    path = tmp_path / "floats.npz"
    np.savez(path, **{f"x_{split}": each.images.astype(float) for split, each in digits.items()})
    assert read(str(path)).sha256 == digits["test"].sha256


def test_the_hash_of_other_dtypes_is_the_documented_text(tmp_path: Path) -> None:
    np.save(path := tmp_path / "x.npy", np.array([[[1, 256]]], ">i2"))
    expected = b"test 1 1 2 int32\n\x01\x00\x00\x00\x00\x01\x00\x00"
    assert read(str(path)).sha256 == hashlib.sha256(expected).hexdigest()


def test_one_array_is_the_test_split(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", TEST)
    np.savez(tmp_path / "x.npz", images=TEST, labels=LABELS)
    for name in ("x.npy", "x.npz"):
        data = load(str(tmp_path / name), split="test")
        np.testing.assert_array_equal(data.x, TEST)
        assert (data.labels is None) == (name == "x.npy")
    with pytest.raises(DataError, match=r"'x.npy' has no split 'train'; there are test"):
        load(str(tmp_path / "x.npy"), split="train")


def test_idx_files_alone_and_in_a_folder(tmp_path: Path) -> None:
    assert LABELS is not None
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(GREY["train"].x))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(TEST)))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    for path in (tmp_path, tmp_path / "t10k-images-idx3-ubyte.gz"):
        data = load(str(path), split="test")
        np.testing.assert_array_equal(data.x, TEST)
        np.testing.assert_array_equal(data.labels, LABELS)
    source = read(str(tmp_path))
    assert (list(source.x), list(source.labels)) == (["train", "test"], ["test"])


def test_a_folder_of_png_is_in_the_order_of_names(tmp_path: Path) -> None:
    png(tmp_path, TEST[:12], "{}.png".format)
    data = load(str(tmp_path), split="test")
    order = sorted(range(12), key=str)
    np.testing.assert_array_equal(data.x, TEST[order])
    assert data.labels is None
    lines = "".join(
        f"{hashlib.sha256((tmp_path / f'{place}.png').read_bytes()).hexdigest()}  {place}.png\n"
        for place in order
    )
    assert data.file_sha256 == hashlib.sha256(lines.encode()).hexdigest()


def test_folders_are_splits_and_in_them_classes(tmp_path: Path) -> None:
    assert LABELS is not None
    png(tmp_path / "test", TEST[:20], lambda place: f"{LABELS[place]}/{place:02}.png")
    png(tmp_path / "val", TEST[20:22], "3/{}.png".format)
    test, valid = (load(str(tmp_path), split=split) for split in ("test", "valid"))
    order = np.argsort(LABELS[:20], kind="stable")
    np.testing.assert_array_equal(test.x, TEST[order])
    found = {int(label) for label in LABELS[:20]} | {3}
    np.testing.assert_array_equal(test.labels, [sorted(found).index(each) for each in LABELS[order]])
    np.testing.assert_array_equal(valid.labels, [sorted(found).index(3)] * 2)


@pytest.mark.parametrize("kind", ["colour", "bits", "sixteen"])
def test_png_of_every_depth(tmp_path: Path, kind: str) -> None:
    patches = load("patches", split="test").x[:3]
    x = {
        "colour": patches,
        "bits": patches[:, 0] > 128,
        "sixteen": patches[:, 0].astype(np.uint16) * 257,
    }[kind]
    png(tmp_path, np.moveaxis(x, 1, -1) if kind == "colour" else x)
    data = load(str(tmp_path), split="test")
    np.testing.assert_array_equal(data.x, x)
    assert (data.kind, data.levels) == {
        "colour": ("levels", 256),
        "bits": ("binary", None),
        "sixteen": ("levels", 65536),
    }[kind]


TABLE = "age,split,height,label\n1,train,2.5,0\n3,test,-4,1\n5,train,6e1,2\n"


def test_a_csv_has_columns_and_may_name_splits_and_labels(tmp_path: Path) -> None:
    (path := tmp_path / "t.csv").write_text(TABLE)
    train = load(str(path), split="train")
    np.testing.assert_array_equal(train.x, np.array([[1, 2.5], [5, 60]], np.float32))
    np.testing.assert_array_equal(train.labels, [0, 2])
    assert (train.columns, train.kind) == (("age", "height"), "real")
    np.testing.assert_array_equal(load(str(path), split="test").x, [[3, -4]])


def test_a_csv_of_whole_numbers_without_names(tmp_path: Path) -> None:
    (path := tmp_path / "t.csv").write_text("1,2\n3,4\n")
    data = load(str(path), split="test")
    np.testing.assert_array_equal(data.x, [[1, 2], [3, 4]])
    assert (data.kind, data.columns) == ("counts", ("0", "1"))


def test_parquet_is_the_same_table(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import Table, parquet

    (tmp_path / "t.csv").write_text(TABLE)
    columns = {
        "age": [1, 3, 5],
        "split": ["train", "test", "train"],
        "height": [2.5, -4, 60],
        "label": [0, 1, 2],
    }
    parquet.write_table(Table.from_pydict(columns), tmp_path / "t.parquet")
    for split in ("train", "test"):
        one, other = (load(str(tmp_path / f"t.{form}"), split=split) for form in ("csv", "parquet"))
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.labels, other.labels)
        assert (one.sha256, one.columns) == (other.sha256, other.columns)
    parquet.write_table(Table.from_pydict({"a": [1.0, None]}), tmp_path / "gap.parquet")
    with pytest.raises(DataError, match=r"column 'a': 1 of 2 values are missing; leave those rows out"):
        read(str(tmp_path / "gap.parquet"))
    parquet.write_table(Table.from_pydict({"a": ["x"]}), tmp_path / "words.parquet")
    with pytest.raises(DataError, match=r"column 'a' holds string, not numbers; leave it out of the file"):
        read(str(tmp_path / "words.parquet"))


def test_binary_images_or_a_hint_at_what_makes_them(tmp_path: Path) -> None:
    flat = load("digits", split="test").images.reshape(-1, 64)
    np.save(tmp_path / "flat.npy", flat)
    for name, message in {
        "digits-grey": r"digits-grey holds 17 levels of shape \(8, 8\). --preprocess threshold=8 makes them",
        "patches": r"patches holds 256 levels of shape \(3, 32, 32\)$",
        str(
            tmp_path / "flat.npy"
        ): r"flat.npy holds 0s and 1s of shape \(64,\): reshape its arrays from \(400, 64\)",
    }.items():
        with pytest.raises(DataError, match=f"binary images \\(N, H, W\\) are wanted, {message}"):
            _ = load(name, split="test").images


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "nothing": ("x.npz", b"", r"begins with b'', which no data set does; a data set is .npz, .npy, idx"),
    "jpeg": ("x.gz", b"\xff\xd8\xff\xe0", "begins with"),
    "damaged npz": ("x.npz", b"PK\x03\x04 and so on", "not a readable .npy or .npz file"),
    "short idx": (
        "x.idx",
        idx(TEST)[:-1],
        r"uint8 of shape \(400, 8, 8\) takes 25600 bytes, the file holds 25599",
    ),
    "damaged gzip": ("x.gz", gzip.compress(idx(TEST))[:-9], "damaged gzip"),
    "words in csv": ("t.csv", b"a,b\n1,2\n3,x\n", r"'x' to float64.*leave others out of the file"),
    "ragged csv": ("t.csv", b"a,b\n1,2\n3\n", "t.csv: .*"),
    "csv without rows": ("t.csv", b"a,b\n", "t.csv: .*no data"),
    "csv of another split": ("t.csv", b"a,split\n1,dev\n", "column split says train, valid or test, got dev"),
    "two columns of one name": ("t.csv", b"a,a\n1,2\n", "each column has a name of its own, got a, a"),
    "no columns": ("t.csv", b"a" * 200_000, "does not begin with columns: field larger than"),
    "csv in latin": ("t.csv", b"\xe9,b\n1,2\n", "no text in UTF-8"),
    "damaged parquet": ("t.parquet", b"PAR1 and so on", "not a readable parquet file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    file, content, message = REFUSED[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(str(tmp_path / file))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"a": TEST, "b": TEST},
            "holds a, b; name its arrays train, valid and test, and their labels train_label",
        ),
        ({"train": TEST, "x_train": TEST}, "more than one array for the train split"),
        ({"test": TEST, "test_label": np.arange(3)}, "one label for each example, got 3 for 400"),
        (
            {"test": TEST, "y_test": np.ones(400) / 2},
            r"labels are whole numbers \(N,\), got float64 \(400,\)",
        ),
        ({"x": np.array([{}])}, "it holds Python objects, not numbers"),
    ],
)
def test_arrays_that_are_no_data_set(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read(str(tmp_path / "x.npz"))


def test_folders_that_are_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds neither PNG nor idx files, but nothing"):
        read(str(tmp_path))
    png(tmp_path, TEST[:2])
    png(tmp_path / "class", TEST[:1])
    with pytest.raises(DataError, match=r"holds 2 .png files beside 1 in folders; put all into"):
        read(str(tmp_path))
    png(tmp_path / "train", TEST[:1])
    with pytest.raises(DataError, match=r"holds folders class, train: of these class is no split"):
        read(str(tmp_path))
    png(other := tmp_path / "other", TEST[:1])
    png(other, TEST[:2, :4], "{}x.png".format)
    with pytest.raises(DataError, match=r"0000.png is uint8 \(8, 8\) and 0x.png uint8 \(4, 8\)"):
        read(str(other))
    palette = tmp_path / "palette"
    palette.mkdir()
    Image.fromarray(TEST[0]).convert("P").save(palette / "p.png")
    with pytest.raises(DataError, match=r"p.png has mode P; images are grey .* convert them, as by"):
        read(str(palette))
    (palette / "p.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"p.png: not a readable PNG file"):
        read(str(palette))


def test_a_path_that_leads_nowhere(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file or folder; a data set is .npz"):
        load(str(tmp_path / "absent"), split="test")


def npy(x: Array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, x)
    return stream.getvalue()


def npz(x: Array) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, test=x, test_label=np.arange(len(x)))
    return stream.getvalue()


BEGINNINGS = (b"", idx(TEST[:2]), gzip.compress(idx(TEST[:2])), npy(TEST[:2]), npz(TEST[:2]), TABLE.encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(whole=st.sampled_from(BEGINNINGS), end=st.binary(max_size=40), place=st.integers(0, 400))
def test_any_bytes_are_data_or_refused(tmp_path: Path, whole: bytes, end: bytes, place: int) -> None:
    """A file of a known form, with some of its bytes others."""
    (path := tmp_path / "x.csv").write_bytes(whole[:place] + end + whole[place + len(end) :])
    try:
        source = read(str(path))
    except DataError:
        return
    assert source.kind
    assert source.sha256
