"""The service beside TorchServe alone and the bare model; or its memory; or two ways of sampling.

python -m benchmarks [--quick] [--out FILE.json]
python -m benchmarks --soak 100000
python -m benchmarks --sampling 1 [--quick]
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from rdserve.cli.private_server import NotServing
from rdserve.loadtest.meter import QUICK, Effort
from rdserve.loadtest.report import show
from rdserve.server.backends.torchserve.config import TorchServeError
from rich.console import Console

from benchmarks import sampling, session, soak
from benchmarks.targets import as_table

say = partial(print, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print tables, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("report/bench.json"))
    parser.add_argument("--quick", action="store_true", help="seconds in place of minutes: a smoke test")
    parser.add_argument("--sampling", type=int, metavar="THREADS", help="only draw pixels and latents")
    parser.add_argument("--soak", type=int, metavar="REQUESTS", help="only watch a service's memory")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    if given.sampling:
        sampling.show(given.sampling, quick=given.quick)
    elif given.soak:
        soak.show(session.soaked(given.soak, say), console)
    else:
        results, found = session.run(QUICK if given.quick else Effort(), say, quick=given.quick)
        results.write(given.out)
        show(results, console)
        console.print(as_table(found))
        print(f"every cell and ratio: {given.out}")


if __name__ == "__main__":
    try:
        main()
    except (NotServing, TorchServeError) as error:
        sys.exit(str(error))
