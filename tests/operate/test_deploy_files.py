"""Rules, alerts and dashboard: accepted by the real tools, and about metrics that are there."""

import json
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import prometheus
import pytest
import yaml
from prometheus import DEPLOY, RULES, Prometheus, names
from rdserve.server.observability.metrics import METRICS

DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
RUNBOOKS = Path(__file__).parents[2] / "docs/operations.md"
# Only there with a GPU.
GPU = {
    series for name, metric in METRICS.items() if name.startswith("rdserve_gpu") for series in metric.series
}


def rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels(path: Path) -> list[tuple[str, str]]:
    """Each panel's title and expression."""
    found = json.loads(path.read_text())["panels"]
    return [(panel["title"], target["expr"]) for panel in found for target in panel.get("targets", [])]


def expressions() -> list[str]:
    of_rules = [rule["expr"] for name in RULES for rule in rules(name)]
    return of_rules + [expression for path in DASHBOARDS for _, expression in panels(path)]


@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "rules", *RULES), ("test", "rules", "tests.yml")],
    ids=" ".join,
)
def test_promtool_accepts(arguments: tuple[str, ...]) -> None:
    command = [prometheus.needed("promtool"), *arguments]
    done = subprocess.run(command, cwd=DEPLOY / "prometheus", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_alert_is_tested() -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus/tests.yml").read_text())["tests"]
    fired = {
        case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in rules("alerts.yml")}


@pytest.mark.parametrize("rule", rules("alerts.yml"), ids=lambda rule: rule["alert"])
def test_every_alert_has_its_runbook(rule: dict[str, Any]) -> None:
    path, anchor = rule["annotations"]["runbook"].split("#")
    assert path == "docs/operations.md"
    assert anchor == rule["alert"].lower()
    headings = re.findall(r"^### (.+)\n(.+)", RUNBOOKS.read_text(), re.MULTILINE)
    assert anchor in {heading.lower() for heading, _ in headings}


def test_names_in_promql() -> None:
    expression = 'sum by (model) (rate(a_sum{x="b_total"}[5m])) / on (model) group_left (c) (d:e:f > 0) and g'
    assert names(expression) == {"a_sum", "d:e:f", "g"}


def test_every_metric_named_is_there(endpoint: str) -> None:
    exposed = urllib.request.urlopen(endpoint).read().decode()
    there = {"up"} | {rule["record"] for rule in rules("recording.yml")}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", exposed, re.MULTILINE):
        parts = {"histogram": ("bucket", "sum", "count"), "summary": ("sum", "count")}.get(kind, ())
        there |= {f"{name}_{part}" for part in parts} if parts else {name}
    named = set().union(*map(names, expressions()))
    assert len(named) > 30
    assert named - there <= GPU


def test_everything_declared_is_on_the_endpoint_and_on_the_dashboard(endpoint: str) -> None:
    exposed = urllib.request.urlopen(endpoint).read().decode()
    typed = {name for name, _ in re.findall(r"^# TYPE (\S+) (\S+)$", exposed, re.MULTILINE)}
    declared = {name: set(metric.series) | {name} for name, metric in METRICS.items()}
    assert {name for name, series in declared.items() if not series & typed} <= {
        name for name in METRICS if name.startswith("rdserve_gpu")
    }
    shown = set().union(*(names(expression) for path in DASHBOARDS for _, expression in panels(path)))
    recorded = set().union(*(names(rule["expr"]) for rule in rules("recording.yml")))
    assert {name for name, series in declared.items() if not series & (shown | recorded)} <= {
        "torchserve_up",  # alerts only
        "torchserve_worker_load_seconds",
    }


def test_every_expression_can_be_asked(scraped: Prometheus) -> None:
    for expression in expressions():
        asked = expression.replace("$__rate_interval", "1m").replace("$model", ".*")
        scraped.get("query", query=asked)


def test_the_exposition_is_lint_free(endpoint: str) -> None:
    exposed = urllib.request.urlopen(endpoint).read()
    command = [prometheus.needed("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=exposed, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
