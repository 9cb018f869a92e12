from dataclasses import replace
from xml.etree import ElementTree

import pytest
from points import comparison_at
from rdserve.client.errors import InputError
from rdserve.compare.analysis.gate import Gate, GateOutcome, Limits, gate
from rdserve.compare.render.gate_report import to_junit, to_markdown

# m1 has 0.3 nats more rate and 0.3 less distortion than m0, known to some 0.02.
COMPARISON = comparison_at([(5, 15), (5.3, 14.7)], n=400)
PASSES, FAILS, UNDECIDED = 0.4, 0.2, 0.3


def against(**limits: float) -> Gate:
    return gate(COMPARISON, "m0", Limits(**limits))


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [
        ({"rate_increase": PASSES}, GateOutcome.PASS),
        ({"rate_increase": FAILS}, GateOutcome.FAIL),
        ({"rate_increase": UNDECIDED}, GateOutcome.UNDECIDED),
        ({"distortion_increase": 0.0}, GateOutcome.PASS),
        ({"distortion_increase": -0.4}, GateOutcome.FAIL),
        ({"elbo_decrease": 0.1}, GateOutcome.PASS),
        ({"elbo_decrease": -0.1}, GateOutcome.FAIL),
        ({"weighted_increase": 0.1}, GateOutcome.PASS),
        ({"rate_increase": PASSES, "elbo_decrease": 0.1}, GateOutcome.PASS),
        ({"rate_increase": UNDECIDED, "elbo_decrease": 0.1}, GateOutcome.UNDECIDED),
        ({"rate_increase": UNDECIDED, "elbo_decrease": -0.1}, GateOutcome.FAIL),
    ],
)
def test_outcomes(limits: dict[str, float], outcome: GateOutcome) -> None:
    assert against(**limits).outcome is outcome


def test_exit_codes() -> None:
    assert [GateOutcome.PASS, GateOutcome.FAIL, GateOutcome.UNDECIDED] == [0, 1, 2]


def test_one_image_is_undecided() -> None:
    single = comparison_at([(5, 15), (5.3, 14.7)], n=1)
    assert gate(single, "m0", Limits(rate_increase=100)).outcome is GateOutcome.UNDECIDED


def test_junit() -> None:
    found = against(rate_increase=FAILS, distortion_increase=0.0, elbo_decrease=0.0)
    suite = ElementTree.fromstring(to_junit(found))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    cases = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert cases == {"R": ["failure"], "D": [], "-ELBO": ["skipped"]}
    failure = suite.find(".//failure")
    assert failure is not None
    assert "at most +0.200 allowed" in failure.get("message", "")


def test_markdown() -> None:
    lines = to_markdown(against(rate_increase=FAILS)).splitlines()
    assert lines[0] == "## Against m0: fail"
    assert lines[4].startswith("| m1 | R | +0.")
    assert lines[4].endswith("| +0.200 | fail |")
    assert "400 images, 95% intervals" in lines[6]


def test_warnings_stay_visible() -> None:
    found = gate(replace(COMPARISON, warnings=("not comparable: x",)), "m0", Limits(rate_increase=1))
    assert "not comparable: x" in to_markdown(found)
    assert "not comparable: x" in to_junit(found)


def test_what_cannot_be_gated() -> None:
    with pytest.raises(InputError, match="needs a limit"):
        against()
    with pytest.raises(InputError, match="no model 'x'"):
        gate(COMPARISON, "x", Limits(rate_increase=1))
    with pytest.raises(InputError, match="no model to check"):
        gate(comparison_at([(5, 15)]), "m0", Limits(rate_increase=1))
    with pytest.raises(InputError, match="failed: m2"):
        gate(replace(COMPARISON, failures={"m2": "no weights"}), "m0", Limits(rate_increase=1))


def test_what_made_it_is_in_both_files() -> None:
    found, line = against(rate_increase=PASSES), COMPARISON.analysis.signature
    assert to_markdown(found).endswith(f"<!-- {line} -->\n")
    properties = ElementTree.fromstring(to_junit(found)).findall("properties/property")
    assert [(one.get("name"), one.get("value")) for one in properties] == [("rdserve-signature", line)]
