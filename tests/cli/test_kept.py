"""What is kept of one run for the next."""

import json
from pathlib import Path
from typing import Any

from rdserve.cli.kept import kept


def test_what_is_kept_is_of_the_same_facts(tmp_path: Path) -> None:
    place, made = tmp_path / "work" / "one.json", []

    def make() -> dict[str, Any]:
        made.append(1)
        return {"value": 0.1 + len(made)}

    facts = {"n": 3, "weights": "a"}
    assert kept(place, facts, make) == {"value": 1.1}
    assert kept(place, facts, make) == {"value": 1.1}
    assert kept(place, {**facts, "n": 4}, make) == {"value": 2.1}
    assert [path.name for path in place.parent.iterdir()] == ["one.json"]
    for damaged in ("", "[]", json.dumps({"facts": {**facts, "n": 4}})):
        place.write_text(damaged)
        assert kept(place, {**facts, "n": 4}, make) == {"value": 0.1 + len(made)}
    assert len(made) == 5
