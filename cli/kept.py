"""What took long to compute, kept in a file, so that a run that was interrupted goes on."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def kept(path: Path, facts: Mapping[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the file holds of these facts; else what `make` gives, which is then in the file.

    facts, and what `make` gives: as JSON holds them.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["facts"] == facts:
            return dict(document["found"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass  # none, or not one of ours
    found = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps({"facts": facts, "found": found}, indent=1) + "\n", encoding="utf-8")
    os.replace(fresh, path)
    return found
