import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from front import Front
from points import CROWDED, comparison_at
from rdserve.client import Client
from rdserve.compare.analysis.signature import signature
from rdserve.compare.api import compare
from rdserve.compare.scores import ScoredData
from rdserve.data import load
from rdserve.models.execution.config import ExecutionConfig

IMAGES = load("digits", split="test").images[:3]

PLAIN = comparison_at(CROWDED[:2])


def fields(line: str) -> dict[str, str]:
    return dict(part.split(":", 1) for part in line.split("|"))


def test_the_line_names_what_the_numbers_depend_on() -> None:
    found = fields(signature(PLAIN))
    assert found["likelihood"] == "bernoulli"
    assert found["units"] == "nats per example"
    assert (found["n"], found["K"], found["seed"]) == ("50", "1", "0")
    assert found["data"] == "digits/test@000000000000"
    assert found["weights"] == "m0@111111111111,m1@111111111111"
    assert (found["dtype"], found["code"]) == ("float32", "0")
    assert set(found) >= {"rdserve", "R", "D", "ids", "device"}


def test_it_says_what_the_service_really_computes_in_and_on(
    front: Callable[..., Front], checkpoints: Path
) -> None:
    """The checkpoints are float32."""
    with Client(front(checkpoints, precision="bfloat16").address) as client:
        found = fields(compare(client, ["tiny-mmm", "tiny-mpv"], IMAGES).analysis.signature)
    assert (found["dtype"], found["device"]) == ("bfloat16", ExecutionConfig().device_name)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("device", {"models": (replace(PLAIN.models[0], device="cuda NVIDIA H200"), PLAIN.models[1])}),
        ("seed", {"seed": 1}),
        ("K", {"n_samples": 2}),
        ("data", {"data": ScoredData("digits", "test", "1" * 64)}),
        ("data", {"data": ScoredData("digits", "valid", "0" * 64)}),
        ("ids", {"example_ids": np.arange(1, 51, dtype=np.uint64)}),
        ("weights", {"models": (replace(PLAIN.models[0], weights_sha256="2" * 64), PLAIN.models[1])}),
        ("dtype", {"models": (replace(PLAIN.models[0], dtype="bfloat16"), PLAIN.models[1])}),
        ("likelihood", {"models": (replace(PLAIN.models[0], likelihood="gaussian"), PLAIN.models[1])}),
    ],
)
def test_each_change_is_seen_in_its_field(field: str, change: dict[str, Any]) -> None:
    before, after = fields(signature(PLAIN)), fields(signature(replace(PLAIN, **change)))
    assert {name for name in before if before[name] != after[name]} == {field}


def test_a_name_breaks_out_of_no_line_comment_or_field() -> None:
    strange = replace(PLAIN.models[0], name="a|b:c\n%-->é")
    line = signature(replace(PLAIN, models=(strange, PLAIN.models[1])))
    assert re.fullmatch("[ -~]+", line)
    assert "-->" not in line
    assert fields(line)["weights"] == "a%7Cb%3Ac%0A%25-%2D%3E%C3%A9@111111111111,m1@111111111111"
