from pathlib import Path

from causes import CAUSES
from rdserve.server import errors

HEAD = "| cause | status | reason | pushback, ms | details |\n|---|---|---|---|---|\n"
DOCS = Path(__file__).parents[2] / "docs" / "serving.md"


def test_the_documented_table_is_the_one_in_the_code() -> None:
    rows = [
        f"| {cause.what} | {cause.error.status.name} | `{cause.error.reason}` "
        f"| {errors.pushback_ms(cause.error)} | {cause.details} |\n"
        for cause in CAUSES
    ]
    assert HEAD + "".join(rows) in DOCS.read_text()


def test_every_error_has_a_row_and_a_reason_of_its_own() -> None:
    kinds = set(errors.StatusError.__subclasses__())
    assert {cause.error for cause in CAUSES} == kinds
    assert len({kind.reason for kind in kinds}) == len(kinds) == len(CAUSES)
