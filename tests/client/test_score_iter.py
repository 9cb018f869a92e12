"""Scoring data larger than memory: a window of calls over batches that are read as they are sent."""

from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from rdserve.client import AsyncClient, Client, InputError, NotFound, chunking
from rdserve.data import load

IMAGES = load("digits", split="test").images[:60]


def batches(sizes: list[int], read: list[int]) -> Iterator[NDArray[np.bool_]]:
    """Consecutive images; tells of each batch that is read."""
    start = 0
    for size in sizes:
        read.append(size)
        yield IMAGES[start : start + size]
        start += size


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "MAX_ROWS", 7)


@pytest.mark.usefixtures("small_chunks")
async def test_a_result_for_each_batch_as_if_all_were_scored_together(in_process_service: str) -> None:
    sizes = [1, 20, 7, 2, 30]

    async def slowly() -> AsyncIterator[NDArray[np.bool_]]:
        for batch in batches(sizes, []):
            yield batch

    with Client(in_process_service) as client:
        whole = client.score("tiny-mpv", IMAGES, n_samples=2, seed=5, example_ids=np.arange(100, 160))
        parts = list(client.score_iter("tiny-mpv", batches(sizes, []), n_samples=2, seed=5, first_id=100))
    async with AsyncClient(in_process_service) as client:
        for given in (slowly(), batches(sizes, [])):
            scores = client.score_iter("tiny-mpv", given, n_samples=2, seed=5, first_id=100)
            parts += [part async for part in scores]
    assert [len(part.rate_nats) for part in parts] == sizes * 3
    for name in ("rate_nats", "distortion_nats"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(joined, np.tile(getattr(whole, name), 3), rtol=1e-5, atol=1e-5)


def test_no_more_is_read_than_is_in_flight(in_process_service: str) -> None:
    read: list[int] = []
    with Client(in_process_service, in_flight=2) as client:
        scores = client.score_iter("tiny-mmm", batches([3] * 20, read))
        for number, _ in enumerate(scores, start=1):
            assert len(read) - number < 2
            if number == 5:
                break
        scores.close()
    assert len(read) <= 6


def test_what_is_wrong_is_told_before_or_when_it_is_met(in_process_service: str) -> None:
    read: list[int] = []
    with Client(in_process_service) as client:
        with pytest.raises(InputError, match="first_id"):
            client.score_iter("tiny-mmm", batches([1], read), first_id=-1)
        with pytest.raises(InputError, match="n_samples"):
            client.score_iter("tiny-mmm", batches([1], read), n_samples=0)
        assert not read
        with pytest.raises(NotFound):
            list(client.score_iter("nope", batches([1, 1], read)))
        with pytest.raises(InputError, match="no pixels"):
            list(client.score_iter("tiny-mmm", batches([1, 0], read)))
        assert list(client.score_iter("tiny-mmm", [])) == []
