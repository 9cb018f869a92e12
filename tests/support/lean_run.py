"""A run of many rows on an engine that needs no service; prints what it added to its memory at most, in MB.

python lean_run.py FOLDER 1000000           scoring; then a statistic too
python lean_run.py FOLDER 1000000 files     scoring; statistics; all the files of a comparison
"""

import resource
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from engines import Scripted, rate_of
from points import MODEL
from rdserve.client.results import ModelInfo
from rdserve.compare.comparison import Comparison
from rdserve.compare.export import write_all
from rdserve.compare.scores import ScoredData
from rdserve.compare.scoring.run import ScoringOutcome, run
from rdserve.compare.statistics.paired import difference


class Made:
    """(n, 8, 8) booleans that exist only while they are looked at."""

    def __init__(self, n: int) -> None:
        self.shape = (n, 8, 8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:  # type: ignore[type-arg]
        return np.unpackbits(np.arange(rows.start, rows.stop, dtype=">u8").view(np.uint8)).reshape(-1, 8, 8)


def peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(out: Path, models: list[ModelInfo], outcome: ScoringOutcome, before: float) -> str:
    """What statistics and files add, and how much of it are pages of the rows that the kernel may drop."""
    scores = tuple(outcome.scores.values())
    ids = np.arange(len(scores[0].rate_nats), dtype=np.uint64)
    comparison = Comparison(tuple(models), scores, ids, ScoredData("made", "all", "0" * 64))
    analysis = comparison.analysis
    assert analysis.rows
    assert analysis.pairs.preferences
    statistics = peak() - before
    write_all(analysis, None, out)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return f"{statistics:.0f} {peak() - before:.0f} mapped {int(status['RssFile'].split()[0]) / 1024:.0f}"


def main() -> None:
    folder, n = Path(sys.argv[1]), int(sys.argv[2])
    models = [replace(MODEL, name=name) for name in "abcd"]
    run(Scripted(keep=False), models, Made(1000), folder=folder / "small")  # type: ignore[arg-type]
    before = peak()
    outcome = run(Scripted(keep=False), models, Made(n), folder=folder / "large")  # type: ignore[arg-type]
    scoring = peak() - before
    if "files" in sys.argv:
        print(f"{scoring:.0f} {write(folder / 'files', models, outcome, before)}")
        return
    a, b = (outcome.scores[name] for name in "ab")
    mean = difference(a.distortion_nats, b.distortion_nats, level=0.95).mean
    statistics = peak() - before
    assert mean == 0
    assert (outcome.scores["d"].rate_nats[-5:] == rate_of(np.arange(n - 5, n))).all()
    print(f"{scoring:.1f} {statistics:.1f}")


if __name__ == "__main__":
    main()
