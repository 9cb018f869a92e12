"""`rdserve toy`, cut short: what it leaves behind. What it finds is in tests/trainer/test_toy.py."""

import json
from pathlib import Path

import pytest
from rdserve.cli.commands.toy import toy
from rdserve.models.checkpoint import load
from rdserve.models.toy.laws import toy_source
from rdserve.trainer import toy as training


@pytest.mark.slow
def test_the_figure_the_numbers_and_three_models_to_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "STEPS_PER_STAGE", 50)
    toy(target_rate=0.3, seed=4, out=tmp_path / "report", checkpoints=tmp_path / "models")
    assert (tmp_path / "report/toy.png").stat().st_size > 10_000
    found = json.loads((tmp_path / "report/toy.json").read_text())
    assert found["entropy_nats"] == pytest.approx(toy_source().entropy.item())
    for name, title in (
        ("toy-hand-made", "hand-made"),
        ("toy-elbo", "ELBO"),
        ("toy-target-rate", "target rate 0.3"),
    ):
        card, _ = load(tmp_path / "models" / name)
        assert card.name == name
        assert card.reference.rate_nats == pytest.approx(found["models"][title]["rate_nats"], abs=1e-5)
    assert card.training["target_rate"] == 0.3
    assert "R + D - H" in capsys.readouterr().out
