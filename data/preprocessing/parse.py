"""Steps as a card holds them (JSON), and as a command or a person writes them: `scale=1/255`."""

import json
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from rdserve.data.errors import DataError
from rdserve.data.preprocessing.apply import to_json
from rdserve.data.preprocessing.steps import STEPS, Columns, Standardize, Step

NONE = "none"
_THEN = " then "


def parse_steps(given: object) -> tuple[Step, ...]:
    """From a card's list: [{"op": "scale", "by": 0.0039}, {"op": "bernoulli_static", "seed": 7}].

    Raises:
        DataError: no such list; the message names the step, what it takes and what it got.
    """
    if not isinstance(given, list | tuple):
        raise DataError(f"preprocessing is a list of steps, got {type(given).__name__}")
    return tuple(_step(one, f"step {place}") for place, one in enumerate(given, 1))


def _step(given: object, where: str) -> Step:
    if not isinstance(given, dict) or not isinstance(given.get("op"), str):
        raise DataError(f'{where} is written {{"op": NAME, ...}}, got {given!r}')
    op = given["op"]
    if op not in STEPS:
        raise DataError(f"{where}: no step {op!r}; there are {', '.join(STEPS)}")
    wanted = {field.name: field.default is MISSING for field in fields(STEPS[op])}
    arguments = {name: _frozen(value) for name, value in given.items() if name != "op"}
    missing = [name for name, needed in wanted.items() if needed and name not in arguments]
    unknown = [name for name in arguments if name not in wanted]
    if missing or unknown:
        raise DataError(
            f"{where}: {op} takes {', '.join(wanted)}, got {', '.join(map(str, arguments)) or 'nothing'}"
        )
    try:
        return STEPS[op](**arguments)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _frozen(value: object) -> Any:
    return tuple(value) if isinstance(value, list) else value


def parse_text(text: str) -> Step:
    """One step: `threshold=0.5`, `scale=1/255`, `standardize`, `columns=age,height`; or its JSON.

    Raises:
        DataError: no such step, or other values than it takes.
    """
    text = text.strip()
    if text.startswith("{"):
        try:
            return _step(json.loads(text), text)
        except json.JSONDecodeError as error:
            raise DataError(f"{text}: no JSON ({error})") from None
    op, _, value = text.partition("=")
    return _step({"op": op, **_arguments(op, value, text)}, text)


def _arguments(op: str, value: str, text: str) -> dict[str, Any]:
    """Of a step's short form."""
    if op not in STEPS or not value:
        return {}
    if op == Columns.op:
        return {"names": value.split(",")}
    names = [field.name for field in fields(STEPS[op])]
    values = value.split(",")
    if len(values) != len(names):
        raise DataError(f"{text}: {op} takes {', '.join(names)}, got {len(values)} values")
    return {name: _value(each, text) for name, each in zip(names, values, strict=True)}


def _value(text: str, where: str) -> int | float:
    """A number, or a fraction of two."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        above, slash, below = text.partition("/")
        return float(above) / float(below) if slash else float(text)
    except (ValueError, ZeroDivisionError):
        raise DataError(f"{where}: {text!r} is no number") from None


def words(steps: Sequence[Step]) -> str:
    """In words that `from_words` reads: "scale=0.00392156862745098 then bernoulli_static=7", or "none"."""
    return _THEN.join(map(_text, steps)) or NONE


def from_words(text: str) -> tuple[Step, ...] | None:
    """The steps that `words` wrote; None for anything else, as people describe what they did."""
    if text == NONE:
        return ()
    try:
        return tuple(map(parse_text, text.split(_THEN)))
    except DataError:
        return None


def _text(step: Step) -> str:
    (form,) = to_json([step])
    values = [value for name, value in form.items() if name != "op"]
    if isinstance(step, Columns):
        short = f"{step.op}={','.join(step.names)}"
    elif isinstance(step, Standardize) and step.mean is None:
        short = step.op
    else:
        short = f"{step.op}={','.join(map(_number, values))}"
    return short if _reads_back(short, step) else json.dumps(form)


def _number(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else repr(value)


def _reads_back(text: str, step: Step) -> bool:
    try:
        return parse_text(text) == step
    except DataError:
        return False
