"""Numbers and names as a person reads them."""

import math
from collections.abc import Sequence

from rdserve.compare.statistics.intervals import Interval

MOST_NAMED = 3


def nats(value: float, digits: int = 2) -> str:
    """Fixed digits with a true minus sign; a dash where there is no number."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 2) -> str:
    """As `nats`, with a plus sign where it is positive."""
    text = nats(value, digits)
    return f"+{text}" if value > 0 and float(text.replace("∞", "inf")) > 0 else text


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
