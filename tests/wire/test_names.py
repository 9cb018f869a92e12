import pytest
from rdserve.wire.names import instead

ZOO = [f"digits-{family}-b1.0" for family in ("mmm", "mmp", "mmv", "mpm", "mpp", "mpv", "ppp")]


@pytest.mark.parametrize(
    "slip", ["digits-mpv-b1", "digts-mpv-b1.0", "igits-mpv-b1.0", "digits-mpvv-b1.0", "Digits-mpv-b1.0"]
)
def test_one_slip_is_seen_through(slip: str) -> None:
    assert instead(slip, ZOO).startswith("did you mean digits-mpv-b1.0")


def test_few_are_listed_and_many_are_counted() -> None:
    assert instead("nope", []) == "there are: none"
    assert instead("nope", ["b", "a"]) == "there are: a, b"
    assert instead("nope", ZOO) == "there are 7"
    assert len(instead("model-1", (f"model-{i:05}" for i in range(1000)))) < 100
