"""What the metrics hold of a model, as the protocol's statistics.

A request that was cut counts by its parts.
"""

from collections.abc import Iterator

from prometheus_client.metrics import MetricWrapperBase
from rdserve.server.observability.metrics import Metrics
from rdserve.v1 import inference_pb2 as oip

# The protocol's stages, and ours.
STAGES = {"compute_input": "merge", "compute_infer": "compute", "compute_output": "split"}


def statistics(metrics: Metrics, model: str, version: str) -> oip.ModelStatistics:
    """Since the service began."""
    calls, rows = _totals(metrics.batch, model)
    waits, waited = _totals(metrics.queue, model)
    _, called = _totals(metrics.compute, model, stage="call")
    failed = sum(value for suffix, value in _samples(metrics.rejected, model) if suffix == "_total")
    stages = {
        name: _duration(*_totals(metrics.compute, model, stage=stage)) for name, stage in STAGES.items()
    }
    return oip.ModelStatistics(
        name=model,
        version=version,
        inference_count=int(rows),
        execution_count=int(calls),
        inference_stats=oip.InferStatistics(
            success=_duration(waits, waited + called),
            fail=_duration(failed, 0.0),
            queue=_duration(waits, waited),
            **stages,
        ),
    )


def _duration(count: float, seconds: float) -> oip.StatisticDuration:
    return oip.StatisticDuration(count=int(count), ns=round(1e9 * seconds))


def _totals(metric: MetricWrapperBase, model: str, **labels: str) -> tuple[float, float]:
    """Count and sum over a model's series."""
    totals = {"_count": 0.0, "_sum": 0.0}
    for suffix, value in _samples(metric, model, **labels):
        if suffix in totals:
            totals[suffix] += value
    return totals["_count"], totals["_sum"]


def _samples(metric: MetricWrapperBase, model: str, **labels: str) -> Iterator[tuple[str, float]]:
    wanted = {"model": model, **labels}.items()
    for family in metric.collect():
        for sample in family.samples:
            if wanted <= sample.labels.items():
                yield sample.name.removeprefix(family.name), sample.value
