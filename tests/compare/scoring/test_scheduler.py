from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rdserve.compare.scoring.scheduler import AHEAD, ATTEMPTS, BUSY, ChunkScheduler


def everything(models: str, chunks: int) -> ChunkScheduler:
    return ChunkScheduler({model: np.ones(chunks, bool) for model in models})


def begin_all(schedule: ChunkScheduler, now: float = 0.0) -> list[tuple[int, list[str]]]:
    """Every call that can begin."""
    begun = []
    while call := schedule.next(now):
        begun.append(call)
    return begun


@given(st.data(), st.integers(1, 4), st.integers(1, 60))
def test_each_model_scores_each_chunk_once_whatever_the_order(
    data: st.DataObject, models: int, n: int
) -> None:
    schedule = everything("abcd"[:models], n)
    under_way: list[tuple[str, int]] = []
    done: Counter[tuple[str, int]] = Counter()
    now = 0.0
    while not schedule.finished:
        under_way += [(model, chunk) for chunk, group in begin_all(schedule, now) for model in group]
        if not under_way:
            wait = schedule.wait_seconds(now)
            assert wait is not None
            now += wait
            continue
        model, chunk = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
        if not done[model, chunk] and data.draw(st.integers(0, 19)) == 0:
            if schedule.failed(model, chunk, again_at=now + 1):
                return
        else:
            schedule.done(model, chunk)
            done[model, chunk] += 1
    assert done == {(model, chunk): 1 for model in "abcd"[:models] for chunk in range(n)}


def test_models_of_one_speed_share_every_call() -> None:
    schedule = everything("abc", 50)
    calls = 0
    waiting = begin_all(schedule)
    while waiting:
        calls += 1
        chunk, group = waiting.pop(0)
        assert group == ["a", "b", "c"]
        for model in group:
            schedule.done(model, chunk)
        waiting += begin_all(schedule)
    assert (calls, schedule.finished) == (50, True)


def test_a_model_that_does_not_answer_holds_nobody_back_and_gets_no_more_than_its_share() -> None:
    schedule = everything("ab", 100)
    scored, given_to_b = set(), set()
    while begun := begin_all(schedule):
        for chunk, group in begun:
            given_to_b |= {chunk} & ({chunk} if "b" in group else set())
            scored.add(chunk)
            schedule.done("a", chunk)
    assert scored == set(range(100))
    assert len(given_to_b) == AHEAD
    for chunk in given_to_b:
        schedule.done("b", chunk)
    missed = begin_all(schedule)
    assert missed == [(chunk, ["b"]) for chunk in range(AHEAD, AHEAD + BUSY)]


def test_what_was_done_is_not_asked_again() -> None:
    schedule = ChunkScheduler({"a": np.array([False, True, False]), "b": np.zeros(3, bool)})
    assert begin_all(schedule) == [(1, ["a"])]


def test_failures_of_one_moment_count_once_and_the_model_waits() -> None:
    schedule = everything("a", 100)
    begun = begin_all(schedule)
    assert len(begun) == BUSY
    for chunk, _ in begun:
        assert not schedule.failed("a", chunk, again_at=5.0)
    assert not schedule.next(4.0)
    assert schedule.wait_seconds(4.0) == 1.0
    assert begin_all(schedule, 5.0) == [(0, ["a"])]  # one at a time, from where it failed
    schedule.done("a", 0)
    assert len(begin_all(schedule, 5.0)) == 2


def test_a_model_that_keeps_failing_is_given_up_and_the_others_finish() -> None:
    schedule = everything("ab", 2)
    gave_up = []
    for attempt in range(ATTEMPTS):
        chunk, group = schedule.next(float(attempt)) or (0, [])
        assert "a" in group
        gave_up.append(schedule.failed("a", chunk, again_at=attempt + 1.0))
        if "b" in group:
            schedule.done("b", chunk)
    assert gave_up == [False, False, True]
    begin_all(schedule, 9.0)
    schedule.done("b", 1)
    assert schedule.finished


def test_patience_outlasts_attempts() -> None:
    schedule = everything("a", 1)
    for now in range(2 * ATTEMPTS):
        assert schedule.next(float(now)) == (0, ["a"])
        gave_up = schedule.failed("a", 0, now=float(now), again_at=now + 1.0, patience=2 * ATTEMPTS - 1.0)
        assert gave_up == (now == 2 * ATTEMPTS - 1)


def test_a_model_that_fails_for_good_is_given_up_at_once() -> None:
    schedule = everything("a", 9)
    begin_all(schedule)
    assert schedule.failed("a", 0, again_at=None)
    assert not schedule.failed("a", 1, again_at=None)  # known already
    assert schedule.finished
