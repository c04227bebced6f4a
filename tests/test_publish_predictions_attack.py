"""Attacks on published predictions by whoever may read all of a snapshot: subtract, solve, compare,
search.

The log has groups planted below k: handoffs and touchpoints of few, some under way at the end.
"""

import itertools
from collections import Counter, defaultdict

import numpy as np
import polars as pl
import pytest
from journey_oracle import contact
from risk_logs import DAYS, walk_customers, workspace_of
from scipy.optimize import linprog

from cxlib.arrivals.arrivals import MAX_PER_CUSTOMER
from cxlib.fragmentation import read_arrivals
from cxlib.grounds import like
from cxlib.prediction import predict, predict_breaks
from cxlib.publish import Snapshot, publish
from cxlib.publish.small_groups import smallest_shown

K = 10
SOON = 12.0
"""Days before the end of the log within which its planted customers come for the last time."""

PLANTED = {"support": 3, "basket": 8, "newsletter": 13, "ad": 24}
"""Customers who end at a touchpoint nobody else comes to."""


@pytest.fixture(scope="module")
def log():
    def risk(source, here, day):
        if source == "page" and here == "visit" and day > DAYS / 2:
            return 0.8
        return {"page": 0.2, "visit": 0.5}.get(here, 0.35)

    made = walk_customers(5, risk, customers=1_500)
    for touchpoint, customers in PLANTED.items():
        for number in range(customers):
            who, at = f"few-{touchpoint}-{number}", DAYS - SOON + number / 10
            made += [contact(who, at, "page"), contact(who, at + 0.5, touchpoint)]
    for number in range(K - 1):  # as active as anybody may be
        made += [
            contact(
                f"busy-{number}",
                0.37 + 3 * turn + number / 50,
                ("page", "visit", "basket")[turn % 3],
            )
            for turn in range(int((DAYS - SOON) / 3))
        ]
    return made


@pytest.fixture(scope="module")
def workspace(log, tmp_path_factory):
    return workspace_of(tmp_path_factory.mktemp("attacked") / "ws", log)


@pytest.fixture(scope="module", autouse=True)
def everything_told():
    """Whatever the record says, and of few transitions: what is not told cannot be attacked."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(like, "MIN_LIKE", 1)
        patched.setattr(predict, "why_not_told", lambda record: None)
        yield


@pytest.fixture(scope="module")
def exact(workspace, everything_told):
    return predict_breaks(workspace)


@pytest.fixture(scope="module")
def snapshot(workspace, everything_told) -> Snapshot:
    return publish(workspace, k=K, answers=["touchpoints", "findings", "predictions"])


@pytest.fixture(scope="module")
def found(snapshot):
    predictions = snapshot.predictions()
    assert len(predictions.table) >= 5
    assert len(predictions.under_way) >= 3
    assert len(predictions.record) >= 2
    return predictions


def true_groups(exact) -> dict[tuple[str, ...], int]:
    """Customers under way by every row that could have been published."""
    counted = Counter(exact.customers.select("touchpoint", "channel").iter_rows())
    return {("all",): len(exact.customers)} | {("at", *k): n for k, n in counted.items()}


def test_a_solver_pins_nobody_under_way_to_fewer_than_k(exact, found) -> None:
    """All counts of customers under way at once: by touchpoint, and of all.

    The attacker knows how numbers are rounded, and that the touchpoints add up to all.
    """
    groups = true_groups(exact)
    names = list(groups)
    published = {("all",): found.customers_under_way or None}
    published |= {
        ("at", row["touchpoint"], row["channel"]): row["customers"]
        for row in found.under_way.to_dicts()
    }
    assert {"support", "basket"} & {name[1] for name in groups if name[0] == "at"}
    bounds = []
    for name in names:
        shown = published.get(name)
        low, high = (0, smallest_shown(K) - 1) if shown is None else (shown - K / 2, shown + K / 2)
        assert low <= groups[name] <= high
        bounds.append((low, high - (shown is not None)))
    sums = np.zeros((1, len(names)))
    sums[:, names.index(("all",))] = -1
    for column, name in enumerate(names):
        sums[0, column] += name[0] == "at"
    small = 0
    for column, name in enumerate(names):
        if not 0 < groups[name] < K:
            continue
        small += 1
        aim = np.eye(len(names))[column]
        least, most = (
            linprog(sign * aim, A_eq=sums, b_eq=np.zeros(1), bounds=bounds) for sign in (1, -1)
        )
        assert least.success, "the log itself solves the equations"
        assert np.ceil(least.fun - 1e-6) < 1 or np.floor(-most.fun + 1e-6) >= K, name
    assert small >= 2, "the log must hold small groups"


def people_of_handoffs(log) -> dict[tuple[str, ...], set[str]]:
    """Whoever ever went from one touchpoint straight to another, counted in plain Python."""
    contacts = defaultdict(list)
    for one in log:
        contacts[one.customer].append(one)
    went = defaultdict(set)
    for who, own in contacts.items():
        own.sort(key=lambda c: c.at)
        for a, b in itertools.pairwise(own):
            went[a.touchpoint, a.channel, b.touchpoint, b.channel].add(who)
    return went


ENDS = ("source", "source_channel", "target", "target_channel")


def test_no_handoff_of_few_is_named_and_none_is_told_finer_than_by_k(
    log, workspace, exact, found
) -> None:
    went = people_of_handoffs(log)
    assert any(0 < len(who) < K for who in went.values())
    arrivals = read_arrivals(workspace).arrivals
    base = MAX_PER_CUSTOMER * K
    truth = {tuple(row[e] for e in ENDS): row for row in exact.table.to_dicts()}
    places = {(r["touchpoint"], r["channel"]): r["place"] for r in workspace.places.to_dicts()}
    for row in found.table.to_dicts():
        ends = tuple(row[e] for e in ENDS)
        pair = (pl.col("source") == places[ends[:2]]) & (pl.col("target") == places[ends[2:]])
        taken = arrivals.filter(pair)
        people, each = taken["customers"].sum(), taken["customers"].sum() / taken["n"].sum()
        assert smallest_shown(K) <= people <= len(went[ends])
        assert row["n"] is None or row["n"] % base == 0
        # The excess of a span moves in steps of k of those who came in a span.
        behind = int(truth[ends]["n"] * each)
        step = K / ((behind + K // 2) // K * K)
        for name in ("excess", "excess_low", "excess_high"):
            assert row[name] / step == pytest.approx(round(row[name] / step), abs=0.01)
        assert row["excess_low"] <= truth[ends]["excess_low"] + 1e-4
        assert row["excess_high"] >= truth[ends]["excess_high"] - 1e-4
        assert abs(row["excess"] - truth[ends]["excess"]) <= step / 2 + 1e-4
        assert row["chance"] * 10 == pytest.approx(round(row["chance"] * 10))
        assert row["could_break"] == (row["chance"] > 0.5 and row["excess_low"] > 0)


def test_predictions_and_findings_of_a_handoff_differ_by_nobody_or_k(snapshot, found) -> None:
    judged = snapshot.findings().table.select(*ENDS, "customers", "n").unique()
    both = found.table.join(judged, on=ENDS, suffix="_found")
    assert len(both) >= 5
    for a, b in itertools.combinations(("customers", "n", "n_found"), 2):
        gap = (both[a] - both[b]).drop_nulls().abs()
        assert not gap.is_between(1, K - 1).any()


def test_without_a_few_customers_counts_are_the_same_or_a_step_away(log, found, tmp_path) -> None:
    """The busiest go, and a group below k with them: no count tells of it."""
    left_out = {f"busy-{number}" for number in range(K - 4)} | {
        f"few-support-{number}" for number in range(3)
    }
    assert len(left_out) == K - 1
    fewer = workspace_of(tmp_path / "ws", [c for c in log if c.customer not in left_out])
    other = publish(fewer, k=K, answers=["predictions"]).predictions()
    assert not 0 < abs(found.customers_under_way - other.customers_under_way) < K
    compared = 0
    for name, keys in (
        ("table", ENDS),
        ("under_way", ("touchpoint", "channel")),
        ("record", ("about", "at", "rival")),
    ):
        both = getattr(found, name).join(
            getattr(other, name),
            on=keys,
            how="full",
            coalesce=True,
            nulls_equal=True,
            suffix="_other",
        )
        if name == "record":  # handoffs are counted there, too, and those are no people
            both = both.filter(about="customers under way")
        for column in {"customers", "n"} & set(both.columns):
            before, after = both[column].fill_null(0), both[f"{column}_other"].fill_null(0)
            gap = (before.cast(pl.Int64) - after.cast(pl.Int64)).abs()
            assert not gap.is_between(1, K - 1).any(), (name, column)
            compared += len(gap)
    assert compared > 15


def test_no_byte_and_no_instant_tells_of_a_single_customer(log, workspace, snapshot) -> None:
    parts = []
    for path in sorted(snapshot.folder.glob("predictions.*")):
        parts.append(path.read_bytes())
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
            # The dates of the backtest are parts of the time from the first contact to the last:
            # to the second, they would tell when somebody came.
            assert not any(isinstance(dtype, pl.Datetime) for dtype in frame.dtypes)
            parts.append(frame.write_ndjson().encode())
    published = b"\n".join(parts)
    assert b"visit" in published, "what is searched can be found"
    for who in {c.customer for c in log}:
        assert f'"{who}"'.encode() not in published
    for touchpoint in ("support", "basket"):
        assert f'"{touchpoint}"'.encode() not in published, "only few came to it"
