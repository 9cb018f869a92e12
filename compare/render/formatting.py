"""Numbers and names as a person reads them."""

import math
from collections.abc import Sequence

from rdserve.client.results import ModelInfo
from rdserve.compare.statistics.intervals import Interval
from rdserve.compare.statistics.latents import MARK
from rdserve.compare.statistics.summaries import ModelSummary

MOST_NAMED = 3
LABEL_WIDTH = 24


def nats(value: float, digits: int = 2) -> str:
    """Fixed digits with a true minus sign; a dash where there is no number."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 2) -> str:
    """As `nats`, with a plus sign where it is positive."""
    text = nats(value, digits)
    return f"+{text}" if value > 0 and float(text.replace("∞", "inf")) > 0 else text


def number(value: float) -> str:
    """Short, with a true minus sign; no minus zero."""
    return f"{round(float(value), 9) + 0.0:g}".replace("-", "−")


def with_error(value: float, error: float) -> str:
    """A mean and its standard error: "20.14 ± 0.31"."""
    return nats(value) + ("" if math.isnan(error) else f" ± {nats(error)}")


def objective(beta: float) -> str:
    """How D + beta R is written."""
    return "R + D" if beta == 1 else f"D + {beta:g} R"


def interval(value: Interval, digits: int = 2) -> str:
    """ "−0.31 to +0.12", or a dash."""
    if math.isnan(value.low):
        return "–"
    return f"{signed(value.low, digits)} to {signed(value.high, digits)}"


def p_value(value: float) -> str:
    """As a person writes it: three decimals, and no claim below a thousandth."""
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def listed(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """ "a, b and c", or "a, b, c and 4 more"."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def warned(warnings: Sequence[str]) -> str:
    """All of them in one line; nothing where there are none."""
    return " ".join(f"Warning: {warning}." for warning in warnings)


def shortened(name: str, width: int) -> str:
    """A name of at most `width` signs; long ones lose their middle, as variants differ at the end."""
    if len(name) <= width:
        return name
    end = width // 2
    return f"{name[: width - end - 1]}…{name[-end:]}"


def beta_of(model: ModelSummary | ModelInfo) -> str:
    """ "0.4"; empty for a model that others made and whose card states none."""
    return f"{model.beta:g}" if model.family or model.beta else ""


def label(row: ModelSummary, rows: Sequence[ModelSummary]) -> str:
    """The paper's tuple, with beta unless it is 1; the model's name where there is none or not one alone.

    A dagger after it where the model ignores its code.
    """
    mark = MARK if row.collapsed else ""
    if not row.family or sum((other.family, other.beta) == (row.family, row.beta) for other in rows) > 1:
        return shortened(row.name, LABEL_WIDTH) + mark
    return (row.family if row.beta == 1 else f"{row.family} β{row.beta:g}") + mark
