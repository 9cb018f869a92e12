"""Faults inside the processes of a service under test, which finds this file on its PYTHONPATH.

A request asks for one with its noise seed, see `faults.py`. Every request that reaches a model is written
down first, in the file `trace` of the folder RDSERVE_FAULTS: process id, model, op, rows, seeds.
"""

import importlib.util
import os
import signal
import sys
import time
from importlib.abc import Loader, MetaPathFinder

FOLDER = os.environ.get("RDSERVE_FAULTS")
TARGET = "rdserve.models.worker.dispatch"


def _trace(line):
    with open(f"{FOLDER}/trace", "a") as file:
        file.write(line + "\n")


def _once(name):
    """True the first time."""
    try:
        os.close(os.open(f"{FOLDER}/{name}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _hold():
    while not os.path.exists(f"{FOLDER}/open"):
        time.sleep(0.005)


def _row_by_row(seed):
    """Write down the rows of pixels that are drawn, and wait in one of them until nobody waits for them."""
    from rdserve.models import cancellation
    from rdserve.models.networks.pixelcnn_incremental import IncrementalSampler

    real = IncrementalSampler.begin_row

    def begin_row(self, row):
        with open(f"{FOLDER}/rows", "a") as file:
            file.write(f"{row}\n")
        held = row == 2 and _once("held")
        while held and not os.path.exists(f"{FOLDER}/open"):
            try:
                cancellation.check()
            except cancellation.Abandoned:
                break
            time.sleep(0.005)
        real(self, row)

    if seed == 9009 and _once("rows"):
        IncrementalSampler.begin_row = begin_row


def _act(seed, module):
    _row_by_row(seed)
    if seed == 9001:
        _hold()
    elif seed == 9002 or (seed == 9003 and _once("died")):
        os.kill(os.getpid(), signal.SIGKILL)
    elif seed == 9004:
        raise ValueError("a secret of the worker")
    elif seed == 9005:
        raise module.NumericFailure("NaN was asked for")
    elif seed == 9006:
        raise MemoryError
    elif seed == 9007:
        os.kill(os.getpid(), signal.SIGSTOP)
    elif seed == 9008:
        time.sleep(0.05)


def _faulty(module):
    real = module.run

    def run(vae, card, request, device):
        seeds = sorted(set(request.noise.row_seeds) or {request.noise.seed})
        op, rows = type(request).__name__, module.batches.n_rows(request)
        _trace(f"{os.getpid()} {card.name} {op} {rows} {','.join(map(str, seeds))}")
        for seed in seeds:
            _act(seed, module)
        return real(vae, card, request, device)

    module.run = run


class _Loader(Loader):
    def __init__(self, real):
        self._real = real

    def create_module(self, spec):
        return self._real.create_module(spec)

    def exec_module(self, module):
        self._real.exec_module(module)
        _faulty(module)


class _Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != TARGET:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        spec.loader = _Loader(spec.loader)
        return spec


if FOLDER:
    sys.meta_path.insert(0, _Finder())
    if os.path.exists(f"{FOLDER}/dies") and "model_service_worker" in " ".join(sys.orig_argv):
        _trace("died at start")
        os._exit(1)
