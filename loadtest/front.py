"""Load on one service, whatever runs it."""

import os
import platform

from rdserve.loadtest import plan
from rdserve.loadtest.meter import Announce, Effort, Meter
from rdserve.loadtest.results import FRONT, Results
from rdserve.loadtest.routes import Front


async def front_only(
    address: str, shapes: dict[str, tuple[int, int]], effort: Effort, announce: Announce
) -> Results:
    """The whole grid, and open loops, against any service."""
    meter = Meter({FRONT: Front(address)}, shapes, effort, announce)
    for name in shapes:
        await plan.everything(meter, name, [FRONT])
        await plan.open_loops(meter, name, [FRONT])
    meter.results.facts = facts()
    return meter.results


def facts() -> dict[str, object]:
    """What the numbers depend on besides the service."""
    return {
        "cores": os.cpu_count(),
        "load_average_at_end": [round(load, 2) for load in os.getloadavg()],
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
