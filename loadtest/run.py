"""Any service, the front alone: what `rdserve bench --server` measures."""

import os
import platform
from collections.abc import Callable, Mapping

from rdserve.loadtest import plan
from rdserve.loadtest.meter import Announce, Effort, Meter
from rdserve.loadtest.results import FRONT, Results
from rdserve.loadtest.routes import Front


async def front_only(
    front: Callable[[], Front], shapes: Mapping[str, tuple[int, int]], effort: Effort, announce: Announce
) -> Results:
    """The whole grid, and open loops, of each model; shapes: those of its images.

    front: made in the loop that calls it.
    """
    meter = Meter({FRONT: front()}, shapes, effort, announce)
    for name in shapes:
        await plan.everything(meter, name)
        await plan.open_loops(meter, name, [FRONT])
    meter.results.facts = machine()
    return meter.results


def machine() -> dict[str, object]:
    """What figures depend on, beside the service."""
    return {
        "cores": os.cpu_count(),
        "load_average_at_end": [round(load, 2) for load in os.getloadavg()],
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
