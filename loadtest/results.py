"""What was measured, as a file that others can compare with."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rdserve.loadtest.load import Visit

FRONT = "front"


@dataclass(frozen=True)
class Cell:
    """One kind of load: a closed loop of `in_flight` callers, or an open one of `rate` per second."""

    model: str
    op: str
    rows: int
    in_flight: int = 0
    rate: float = 0.0

    @property
    def name(self) -> str:
        """What the cell is called in the flat object of ratios."""
        load = f"{self.in_flight} in flight" if self.in_flight else "open loop"
        return f"{self.model} {self.op} {self.rows} {'image' if self.rows == 1 else 'images'}, {load}"


@dataclass
class Results:
    """Visits by cell and way, in rounds: visit i of every way to a cell was made in the same round."""

    visits: dict[tuple[Cell, str], list[Visit]] = field(default_factory=dict)
    skipped: dict[Cell, str] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, cell: Cell, way: str, visit: Visit) -> None:
        """One more round's visit."""
        self.visits.setdefault((cell, way), []).append(visit)

    def of(self, cell: Cell, way: str) -> list[Visit]:
        """The rounds of a way to a cell."""
        return self.visits.get((cell, way), [])

    def rps(self, cell: Cell, way: str) -> float:
        """Median over rounds."""
        return median(visit.rps for visit in self.of(cell, way))

    def speed(self, cell: Cell, way: str, mine: str = FRONT) -> float:
        """Median over rounds of one way's requests per second over another's in the same round."""
        return median(one.rps / other.rps for one, other in self._rounds(cell, mine, way))

    def delay(self, cell: Cell, way: str, mine: str = FRONT) -> float:
        """The same of the median latency: below 1 where `mine` is faster."""
        return median(
            one.percentile(50) / other.percentile(50) for one, other in self._rounds(cell, mine, way)
        )

    def cost(self, cell: Cell, way: str, mine: str = FRONT) -> float:
        """The same of the processor time of a request, over all that spent any."""
        return median(
            sum(one.cpu_ms.values()) / sum(other.cpu_ms.values())
            for one, other in self._rounds(cell, mine, way)
        )

    def _rounds(self, cell: Cell, mine: str, way: str) -> Iterator[tuple[Visit, Visit]]:
        return zip(self.of(cell, mine), self.of(cell, way), strict=True)

    def write(self, path: Path) -> None:
        """Every cell and every ratio, as JSON."""
        cells = [_row(cell, way, visits) for (cell, way), visits in self.visits.items()]
        skipped = [{"cell": cell.name, "why": why} for cell, why in self.skipped.items()]
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {"facts": self.facts, "ratios": self.ratios, "cells": cells, "skipped": skipped}
        path.write_text(json.dumps(whole, indent=1) + "\n")


def cpu_ms(visits: Sequence[Visit]) -> dict[str, float]:
    """Processor time of a request by what spent it, median over rounds; what was idle is left out."""
    roles = {role: None for visit in visits for role in visit.costs}
    spent = {role: median(visit.cpu_ms.get(role, 0.0) for visit in visits) for role in roles}
    return {role: round(ms, 3) for role, ms in spent.items() if ms >= 0.02}


def _row(cell: Cell, way: str, visits: Sequence[Visit]) -> dict[str, Any]:
    answered = [visit for visit in visits if visit.latencies]
    load: dict[str, float] = (
        {"in_flight": cell.in_flight} if cell.in_flight else {"rate": round(cell.rate, 1)}
    )
    rps = median(visit.rps for visit in visits)
    return {
        "model": cell.model,
        "op": cell.op,
        "rows": cell.rows,
        **load,
        "way": way,
        "rounds": len(visits),
        "rps": round(rps, 2),
        "images_per_second": round(rps * cell.rows, 1),
        "p50_ms": round(median(visit.percentile(50) for visit in answered), 3) if answered else None,
        "p99_ms": round(median(visit.percentile(99) for visit in answered), 3) if answered else None,
        "cpu_ms": cpu_ms(visits),
        "errors": dict(sum((Counter(visit.errors) for visit in visits), Counter())),
    }
