"""Processor time by process: what a request costs, which a busy machine blurs less than how long it takes."""

from collections import Counter

import psutil


class Costs:
    """This process, which makes the load, and everything that it has started."""

    def __init__(self) -> None:
        own = psutil.Process()
        self._processes = {"client": [own]}
        for process in own.children(recursive=True):
            self._processes.setdefault(role(process), []).append(process)

    def seconds(self) -> Counter[str]:
        """Processor seconds by role so far."""
        return Counter({name: sum(map(_seconds, group)) for name, group in self._processes.items()})


def role(process: psutil.Process) -> str:
    """What a process of a service is, told by its command line."""
    command = " ".join(process.cmdline())
    if "model_service_worker" in command:
        return "worker"
    return "JVM" if "org.pytorch.serve.ModelServer" in command else "front"


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
