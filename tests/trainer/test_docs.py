"""The python blocks of the pages on data, training and checkpoints run as they stand."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["checkpoint.md", "data.md"])
def test_blocks_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {})
    assert {"checkpoint.md": "my-model 44.4", "data.md": "(400, 8, 8) bool"}[page] in capsys.readouterr().out


def test_every_field_of_the_card_is_documented() -> None:
    from rdserve.models.card import Card

    text = (DOCS / "checkpoint.md").read_text()
    for name, field in Card.model_fields.items():
        parts = getattr(field.annotation, "model_fields", {})
        for path in [f"{name}.{part}" for part in parts] or [name]:
            assert f"| `{path}` |" in text, f"docs/checkpoint.md says nothing of {path}"
