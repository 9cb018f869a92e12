"""From what a file holds to the x of a model: an ordered vocabulary of steps, each exact and repeatable.

`apply(steps, x, ids)` does it; `parse_steps` reads what a card holds, `from_words` what a command says.
"""

from rdserve.data.preprocessing.apply import apply, resolved, run, sha256, to_json
from rdserve.data.preprocessing.parse import NONE, from_words, parse_steps, parse_text, words
from rdserve.data.preprocessing.steps import (
    BernoulliStatic,
    Columns,
    DequantizeUniform,
    Levels,
    Prepared,
    Scale,
    Standardize,
    Step,
    Threshold,
)

__all__ = [
    "NONE",
    "BernoulliStatic",
    "Columns",
    "DequantizeUniform",
    "Levels",
    "Prepared",
    "Scale",
    "Standardize",
    "Step",
    "Threshold",
    "apply",
    "from_words",
    "parse_steps",
    "parse_text",
    "resolved",
    "run",
    "sha256",
    "to_json",
    "words",
]
