"""Several seeds in a word: 0..4."""

import re
from collections.abc import Sequence

from rdserve.trainer.config import ConfigError

MOST = 1000


def parse_seeds(text: str | Sequence[int]) -> list[int]:
    """The seeds of "0..4" (its ends included), of "0,3,7", or of a list.

    Raises:
        ConfigError: anything else, none, one twice, or more than 1000.
    """
    seeds = _in_words(text) if isinstance(text, str) else list(text)
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds are like 0..4 or 0,3,7, each once; got {text!r}")
    return seeds


def _in_words(text: str) -> list[int]:
    if ends := re.fullmatch(r"\s*(\d+)\s*\.\.\s*(\d+)\s*", text):
        first, last = int(ends[1]), int(ends[2])
        if last - first >= MOST:
            raise ConfigError(f"{text!r} are {last - first + 1} seeds; at most {MOST} are taken")
        return list(range(first, last + 1))
    parts = text.split(",")
    return [int(part) for part in parts] if all(part.strip().isdecimal() for part in parts) else []
