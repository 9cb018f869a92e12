"""The time by which the service waits, probes and gives up."""

import asyncio


def now() -> float:
    """Monotonic seconds on the clock of the loop that runs, which its timers follow too."""
    return asyncio.get_running_loop().time()
