"""The python blocks of the pages on data, training and checkpoints run as they stand."""

import re
from pathlib import Path
from typing import get_args

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


@pytest.mark.parametrize(("kind", "page"), [("TorchCard", "checkpoint.md"), ("OnnxCard", "own_models.md")])
def test_every_field_of_the_card_is_documented(kind: str, page: str) -> None:
    from rdserve.models import card

    text = (DOCS / page).read_text()
    for name, field in getattr(card, kind).model_fields.items():
        either = [field.annotation, *get_args(field.annotation)]
        parts = next((each.model_fields for each in either if hasattr(each, "model_fields")), {})
        whole = f"| `{name}` |" in text
        for path in [f"{name}.{part}" for part in parts if not whole] or [name]:
            assert f"| `{path}` |" in text, f"docs/{page} says nothing of {path}"
