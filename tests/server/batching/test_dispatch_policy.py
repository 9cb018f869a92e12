"""When a batch sets off. Times are numbers here; nothing sleeps."""

from math import inf

from rdserve.server.batching.dispatch_policy import LINGER_SECONDS, DispatchPolicy


def test_a_lone_request_goes_at_once() -> None:
    gathering = DispatchPolicy(workers=1)
    for now in (0.0, 1.0):
        assert gathering.departs(now=now, under_way=0, callers=1, full=False) == now
        gathering.sent(1)
        gathering.answered(now + 0.5)
        assert gathering.departs(now=now + 0.5, under_way=0, callers=1, full=False) == now + 0.5


def test_half_of_those_who_were_answered_together_are_waited_for_but_not_for_long() -> None:
    gathering = DispatchPolicy(workers=1)
    gathering.sent(8)
    gathering.answered(10.0)
    assert gathering.departs(now=10.0, under_way=0, callers=3, full=False) == 10.0 + LINGER_SECONDS
    assert gathering.departs(now=10.0, under_way=0, callers=4, full=False) == 10.0
    assert gathering.departs(now=10.0, under_way=0, callers=1, full=True) == 10.0
    late = 10.0 + 2 * LINGER_SECONDS
    assert gathering.departs(now=late, under_way=0, callers=1, full=False) == late


def test_behind_a_busy_worker_only_a_full_batch_goes() -> None:
    gathering = DispatchPolicy(workers=2)
    assert gathering.departs(now=0.0, under_way=1, callers=1, full=False) == 0.0
    assert gathering.departs(now=0.0, under_way=2, callers=100, full=False) == inf
    assert gathering.departs(now=0.0, under_way=2, callers=1, full=True) == 0.0
