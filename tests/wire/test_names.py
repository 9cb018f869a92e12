import pytest
from rdserve.wire import names
from rdserve.wire.names import instead, shared

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


def test_few_of_many_names_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anyone may ask a service for a name that it has not, as often as he likes."""
    compared = []
    monkeypatch.setattr(names, "shared", lambda a, b: compared.append(b) or shared(a, b))
    many = [f"static-mnist-mpv-b0.1-run-{i:05}" for i in range(5000)]
    for slip in ("static-mnst-mpv-b0.1-run-01234", "static-mnist-mpv-b0.1-run-0123", many[77][1:]):
        compared.clear()
        assert "did you mean static-mnist-mpv-b0.1-run-" in instead(slip, many)
        assert len(compared) <= 4 * names.AROUND
    slip = many[1234].replace("mnist", "mnst")
    assert instead(slip, many) == f"did you mean {many[1234]}? There are 5000"
