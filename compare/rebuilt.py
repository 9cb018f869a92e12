"""What a comparison's file says, built again from its own per-example values: where the two disagree.

Everything beside the per-example values is a function of them, so whatever was changed by hand shows. What
wrote the file is called here, not repeated.
"""

import json
import math
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from rdserve.compare import compatibility
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.render import json_stream
from rdserve.compare.render.document import to_document
from rdserve.compare.score_document import from_document

# Sums taken in another order, logarithms of another build: far below what any statement depends on.
RELATIVE, ABSOLUTE = 1e-7, 1e-11
# Of a mean over a part of the examples: as good as never by chance.
MAX_Z = 6.0
MOST_NAMED = 20
# What all else is built from.
VALUES = ("example_ids", "labels", "group_ids", "models")
# What a part of the examples says as well as all of them.
OF_ANY_PART = ("schema", "units", "definitions", "seed", "n_samples", "level", "warnings", "failures")


def contradictions(document: Mapping[str, Any]) -> list[str]:
    """What the file says that its own per-example values do not, a line each.

    A file that holds a part of the examples is held to its settings, to its signature, and to means that
    sampling error explains; its other statistics cannot be built again from it.

    Raises:
        InputError: the examples are not what `rdserve.compare.score_document.from_document` reads.
    """
    scored = from_document(document["examples"])
    partial = part_of(document) is not None
    analysis = Analysis(scored)
    found = list(_of_a_part(document, analysis) if partial else _of_all(document, analysis))
    found += [
        f"warnings: {warning!r} is left out"
        for warning in compatibility.check(scored.models, allow_incomparable=True)
        if warning not in scored.warnings
    ]
    if len(found) > MOST_NAMED:
        found = [*found[:MOST_NAMED], f"and {len(found) - MOST_NAMED} more"]
    if found and (writer := _writer(document)) != version("rdserve"):
        found.append(
            f"rdserve {writer} wrote it, this is {version('rdserve')}: verify it with its own version"
        )
    return found


def part_of(document: Mapping[str, Any]) -> int | None:
    """Of how many examples the file holds a part; None where it holds all."""
    found: int | None = document["examples"].get("part_of")
    return found


def differences(given: Any, built: Any, where: str = "") -> Iterator[str]:
    """Each place where two documents differ, in words; numbers may differ as another machine's do."""
    if isinstance(given, Mapping) and isinstance(built, Mapping):
        yield from (f"{_inside(where, name)} is missing" for name in built if name not in given)
        yield from (f"{_inside(where, name)} is no field" for name in given if name not in built)
        for name in built:
            if name in given:
                yield from differences(given[name], built[name], _inside(where, name))
    elif isinstance(given, list) and isinstance(built, list):
        if len(given) != len(built):
            yield f"{where} has {len(given)} entries, its examples give {len(built)}"
            return
        for position, (one, other) in enumerate(zip(given, built, strict=True)):
            yield from differences(one, other, f"{where}[{_title(other, position)}]")
    elif not _alike(given, built):
        yield f"{where} is given as {_short(given)}, its examples give {_short(built)}"


def _of_all(document: Mapping[str, Any], analysis: Analysis) -> Iterator[str]:
    built = _plain(to_document(analysis))
    yield from differences(_comparable(document), _comparable(built))


def _of_a_part(document: Mapping[str, Any], analysis: Analysis) -> Iterator[str]:
    built = _plain(to_document(analysis))
    for name in OF_ANY_PART:
        yield from differences(document.get(name), built[name], name)
    yield from _means(document, analysis)
    # Of the version that wrote the file, and of all the examples.
    unknown = ("rdserve:", "n:", "ids:", "groups:")
    given, computed = str(document.get("signature")), analysis.signature
    if _without(given, unknown) != _without(computed, unknown):
        yield f"the signature is not that of the examples, which would be {computed}"


def _means(document: Mapping[str, Any], analysis: Analysis) -> Iterator[str]:
    left_out = 1 - analysis.scored.n / document["examples"]["part_of"]
    said = {model.get("name"): model for model in document.get("models", [])}
    for row in analysis.rows:
        for name in ("rate_nats", "distortion_nats", "elbo_nats", "importance_bound_nats"):
            value, mean = said.get(row.name, {}).get(name), getattr(row, name)
            error = getattr(row, name.replace("_nats", "_standard_error_nats"))
            room = RELATIVE * max(1, abs(mean)) + MAX_Z * error * left_out**0.5
            if not isinstance(value, int | float) or not abs(value - mean) <= room:
                yield f"{row.name}: {name} is given as {value}, its examples have the mean {mean:.6g}"


def _comparable(document: Mapping[str, Any]) -> dict[str, Any]:
    """Without the version that wrote it; of the examples, all but the values that the rest is built from."""
    examples = document["examples"]
    rest = {name: value for name, value in examples.items() if name not in VALUES}
    stated = str(document.get("signature"))
    return {**document, "signature": _without(stated, ("rdserve:",)), "examples": rest}


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """As it reads back from a file."""
    without = {
        **document,
        "examples": {name: it for name, it in document["examples"].items() if name not in VALUES},
    }
    return dict(json.loads("".join(json_stream.text(without))))


def _without(line: str, fields: tuple[str, ...]) -> list[str]:
    return [field for field in line.split("|") if not field.startswith(fields)]


def _writer(document: Mapping[str, Any]) -> str:
    first = str(document.get("signature")).split("|", 1)[0]
    return first.removeprefix("rdserve:")


def _alike(given: Any, built: Any) -> bool:
    numbers = isinstance(given, int | float) and isinstance(built, int | float)
    if numbers and not isinstance(given, bool) and not isinstance(built, bool):
        return math.isclose(given, built, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return bool(type(given) is type(built) and given == built)


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _title(entry: Any, position: int) -> str:
    """What an entry of a list is about: a model, a pair, or its place."""
    if isinstance(entry, Mapping):
        if "name" in entry:
            return str(entry["name"])
        if {"a", "b"} <= set(entry):
            return f"{entry['a']}, {entry['b']}"
    return str(position)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."
