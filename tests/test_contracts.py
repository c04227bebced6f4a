"""What a contract lets pass, what it refuses, and what it says."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from cxlib.contracts import CUSTOMERS, EVENTS, QUARANTINE, RATINGS
from cxlib.errors import CxError, InputError, UnknownNameError


def events(**columns: list[object]) -> pl.DataFrame:
    """Two good contacts, with columns replaced."""
    good: dict[str, list[object]] = {
        "customer": ["NA", "007"],
        "occurred_at": [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)],
        "sequence": [0, 0],
        "touchpoint": ["visit", "payment"],
        "channel": ["web", "web"],
        "stage": ["exploration", "unmapped"],
        "owner": [None, "sales"],
        "initiated_by": ["customer", "company"],
        "ended_at": [None, datetime(2026, 1, 3, tzinfo=UTC)],
        "due_at": [None, None],
        "rating": [None, 5.0],
        "scale": [None, "csat"],
        "issue": [None, None],
        "cost": [None, 1.0],
        "amount": [None, 20.0],
        "comment": [None, None],
        "row": [1, 2],
    }
    return pl.DataFrame({**good, **columns}, schema=EVENTS.schema)


def test_good_frames_pass_unchanged_eager_and_lazy() -> None:
    frame = events()
    assert EVENTS.validate(frame) is frame
    assert EVENTS.validate(frame.lazy()).collect().equals(frame)
    for contract in (EVENTS, CUSTOMERS, RATINGS, QUARANTINE):
        assert contract.validate(contract.empty()).is_empty()


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        ({"customer": [None, "b"]}, "customer is never empty"),
        ({"rating": [float("nan"), 1.0]}, "rating is a finite number"),
    ],
)
def test_a_broken_rule_is_named_with_rows_and_the_first_key(
    broken: dict[str, list[object]], rule: str
) -> None:
    frame = pl.concat([events(**broken)] * 5).lazy()
    with pytest.raises(InputError, match=rf"EVENTS: rule '{rule}' is broken in 5 rows, first .*"):
        EVENTS.validate(frame)


def test_missing_wrong_and_strange_columns_are_refused() -> None:
    with pytest.raises(InputError, match=r"'touchpoint' \(what contact\) is missing.*Did you mean"):
        EVENTS.validate(events().rename({"touchpoint": "touchpiont"}))
    with pytest.raises(InputError, match="'customer' holds Int64 and must hold String"):
        EVENTS.validate(events().with_columns(customer=pl.lit(1, pl.Int64)))
    with pytest.raises(InputError, match="'colour' is not part of it"):
        EVENTS.validate(events().with_columns(colour=pl.lit("red")))


def test_customers_may_have_further_text_columns_and_one_row_each() -> None:
    CUSTOMERS.validate(pl.DataFrame({"customer": ["a", "b"], "region": ["north", None]}))
    with pytest.raises(InputError, match="'age' holds Int64 and must hold String"):
        CUSTOMERS.validate(pl.DataFrame({"customer": ["a"], "age": [30]}))
    with pytest.raises(InputError, match=r"one row for each customer.*1 rows, first .*'a'"):
        CUSTOMERS.validate(pl.DataFrame({"customer": ["a", "b", "a"]}))


def test_errors_are_also_the_built_in_ones_and_read_as_sentences() -> None:
    error = UnknownNameError("touchpoint", "paymnt", ["payment", "visit"])
    assert isinstance(error, KeyError)
    assert isinstance(error, CxError)
    expected = "there is no touchpoint 'paymnt'; known: payment, visit. Did you mean 'payment'?"
    assert str(error) == expected
    assert issubclass(InputError, ValueError)


def test_contacts_may_have_environments_and_segments_as_text_and_nothing_else() -> None:
    more = events().with_columns(pl.lit("app").alias("environment.device"))
    assert EVENTS.validate(more) is more
    with pytest.raises(InputError, match=r"'segment.plan' holds Int32 and must hold String"):
        EVENTS.validate(events().with_columns(pl.lit(1).alias("segment.plan")))
    with pytest.raises(InputError, match=r"column 'plan' is not part of it"):
        EVENTS.validate(events().with_columns(pl.lit("gold").alias("plan")))
