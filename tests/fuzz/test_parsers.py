"""Whatever the bytes, each parser gives a result or its own error. Nothing else comes out of it."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from authority import TOKEN, secret
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rdserve.cli.image_files import read_images
from rdserve.client import InputError
from rdserve.client.inputs import as_examples, as_latents
from rdserve.models.card import CardError, parse_card
from rdserve.models.worker.worker import Worker
from rdserve.server.errors import StatusError
from rdserve.server.repository.archive import ArchiveError, open_archive
from rdserve.server.security.tokens import Tokens
from rdserve.server.settings import SettingsError
from rdserve.server.worker_protocol import decode_reply, encode_request
from rdserve.v1.vae_pb2 import NoiseKeys, ScoreRequest, Tensor
from rdserve.v1.worker_pb2 import WorkReply
from rdserve.wire import tensors

fuzz = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
Change = Callable[[bytes], bytes]


def _changed(seed: int, cut: bool) -> Change:
    def change(valid: bytes) -> bytes:
        rng = np.random.default_rng(seed)
        data = bytearray(valid)
        for at in rng.integers(len(data), size=rng.integers(1, 5)):
            data[at] = rng.integers(256)
        return bytes(data[: rng.integers(len(data))] if cut else data)

    return change


# Bytes made of a valid file's: a few of them changed, and sometimes the rest cut off.
changes: st.SearchStrategy[Change] = st.builds(_changed, st.integers(0, 2**32), st.booleans())


@pytest.fixture(scope="module")
def archive(store: Path) -> bytes:
    return (store / "tiny-mmm.mar").read_bytes()


@pytest.fixture(scope="module")
def card(checkpoints: Path) -> bytes:
    return (checkpoints / "tiny-mmm" / "model.json").read_bytes()


@pytest.fixture(scope="module")
def worker(checkpoints: Path) -> Worker:
    return Worker.load(checkpoints / "tiny-mmm")


@pytest.fixture(scope="module")
def work() -> ScoreRequest:
    images = tensors.to_message(np.zeros((2, 8, 8), bool))
    return ScoreRequest(model="tiny-mmm", images=images, noise=NoiseKeys(seed=1), n_samples=2)


@pytest.fixture(scope="module")
def reply(worker: Worker, work: ScoreRequest) -> bytes:
    """What the worker answers to `work`."""
    return worker.work([encode_request(work)])[0]


@fuzz
@given(change=changes)
def test_archives(archive: bytes, tmp_path: Path, change: Change) -> None:
    path = tmp_path / "fuzzed.mar"
    path.write_bytes(change(archive))
    with suppress(ArchiveError):
        open_archive(path)


@fuzz
@given(data=st.binary(max_size=500))
def test_archives_of_random_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "random.mar"
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"random\.mar"):
        open_archive(path)


@fuzz
@given(change=changes, data=st.binary(max_size=200))
def test_cards(card: bytes, change: Change, data: bytes) -> None:
    for text in (change(card), data):
        with suppress(CardError):
            parse_card(text, where="here")


@settings(fuzz, max_examples=40)
@given(change=changes, data=st.binary(max_size=200))
def test_envelopes_on_the_way_in(
    worker: Worker, work: ScoreRequest, reply: bytes, change: Change, data: bytes
) -> None:
    """A worker answers every row of bytes, and its good neighbour as if it were alone."""
    good = encode_request(work)
    for bad in (change(good), data):
        replies = worker.work([bad, good])
        assert len(replies) == 2
        WorkReply.FromString(replies[0])
        here, alone = (decode_reply(work, each).response for each in (replies[1], reply))
        np.testing.assert_allclose(here.rate_nats, alone.rate_nats, rtol=1e-5)  # type: ignore[union-attr]


@settings(fuzz, max_examples=40)
@given(change=changes, data=st.binary(max_size=200))
def test_envelopes_on_the_way_out(work: ScoreRequest, reply: bytes, change: Change, data: bytes) -> None:
    """A reply that is none is a bug of ours: anything but a crash of the interpreter is caught above."""
    for bad in (change(reply), data):
        with suppress(StatusError, DecodeError, RuntimeError):
            decode_reply(work, bad)


@fuzz
@given(change=changes)
def test_tensors(change: Change) -> None:
    valid = tensors.to_message(np.arange(12, dtype=np.float32).reshape(2, 6)).SerializeToString()
    with suppress(DecodeError, ValueError):
        array = tensors.to_array(Tensor.FromString(change(valid)))
        assert array.nbytes <= 8 * len(valid)


@fuzz
@given(data=st.binary(max_size=100), tail=st.binary(max_size=20))
def test_token_files(tmp_path: Path, data: bytes, tail: bytes) -> None:
    path = secret(tmp_path / "tokens", "")
    for content in (data, TOKEN.encode() + b"\n" + tail):
        path.write_bytes(content)
        with suppress(SettingsError):
            tokens = Tokens.read(path)
            assert tokens.accept(content.split()[0])
            assert not tokens.accept(b"")


@fuzz
@given(change=changes, data=st.binary(max_size=200), name=st.sampled_from(["x.npy", "x.npz"]))
def test_files_of_arrays(tmp_path: Path, change: Change, data: bytes, name: str) -> None:
    valid = tmp_path / f"valid-{name}"
    if not valid.exists():
        (np.save if name == "x.npy" else np.savez)(valid, np.zeros((3, 8, 8), bool))
    path = tmp_path / name
    for content in (change(valid.read_bytes()), data):
        path.write_bytes(content)
        with suppress(InputError):
            as_examples(read_images(path)[:2])


def test_arrays_that_run_code_are_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match="not a readable"):
        read_images(tmp_path / "x.npy")


@fuzz
@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)))
def test_arrays_of_anything(array: np.ndarray) -> None:  # type: ignore[type-arg]
    """Each is refused here, or becomes a message that the server can read."""
    for read in (as_examples, as_latents):
        with suppress(InputError):
            tensors.check_size(tensors.to_message(read(array)))


def test_a_truncated_copy_of_an_archive_is_refused(store: Path, tmp_path: Path) -> None:
    whole = Path(shutil.copy(store / "tiny-mmm.mar", tmp_path))
    data = whole.read_bytes()
    for size in range(0, len(data), max(1, len(data) // 40)):
        whole.write_bytes(data[:size])
        with pytest.raises(ArchiveError):
            open_archive(whole)
