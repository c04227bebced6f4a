"""Attacks on a published snapshot by whoever may read all of it: subtract, solve, search, compare.

The log has planted tiny groups (`publish_log`). The attacker knows the rules of publishing, the
segments that are not named, and every file of the snapshot.
"""

import itertools
from collections import defaultdict

import numpy as np
import polars as pl
import publish_log
import pytest
from scipy.optimize import linprog

from cxlib.columns import Count
from cxlib.publish import Snapshot, publish
from cxlib.publish.rules import PUBLISHED
from cxlib.views.journey_map.view import JourneyMap

K = 10
DIMENSIONS = {"region": ("north", "south", "isle"), "kind": ("old", "new")}


@pytest.fixture(scope="module")
def log():
    return publish_log.simulate(seed=1)


@pytest.fixture(scope="module")
def snapshot(log, tmp_path_factory) -> Snapshot:
    workspace = publish_log.build(log, tmp_path_factory.mktemp("attacked"))
    return publish(workspace, k=K, views={"journey_map": JourneyMap.first_paint})


def selections(snapshot: Snapshot, segments=None):
    count = len(snapshot.periods)
    for segment in (None, *snapshot.segments) if segments is None else segments:
        for period in itertools.combinations_with_replacement(range(count), 2):
            yield segment, period


def customers(snapshot: Snapshot) -> dict[tuple, dict[tuple, int | None]]:
    """Published numbers of customers by row and selection."""
    found = defaultdict(dict)
    for where in selections(snapshot):
        answer = snapshot.touchpoints(segment=where[0], period=where[1])
        found["all",][where] = answer.customers or None
        for table, key in (
            (answer.table, "place"),
            (answer.by_stage, "stage"),
            (answer.by_channel, "channel"),
        ):
            for row in table.iter_rows(named=True):
                found[key, row[key]][where] = row["customers"]
    return found


def true_customers(log, snapshot: Snapshot, row, segment, period) -> int:
    """The number behind it, counted in the log."""
    rows, people = log
    of = {p["customer"]: p for p in people}
    bounds = [*(p.isoformat() for p in snapshot.periods), "9999"]
    stage = {"advert": "awareness", "visit": "awareness"} | dict.fromkeys(
        ("basket", "payment"), "conversion"
    )
    places = {
        r["place"]: (r["touchpoint"], r["channel"])
        for r in snapshot.touchpoints().table.iter_rows(named=True)
    }
    named = {touchpoint for touchpoint, _ in places.values()}

    def is_there(r) -> bool:
        match row:
            case ("all",):
                return True
            case ("stage", name):
                return stage.get(r["what"], "") == name or (
                    name not in ("awareness", "conversion") and r["what"] not in stage
                )
            case ("channel", name):
                return r["via"] == name
            case (_, place):
                what = r["what"] if r["what"] in named else "other touchpoints"
                return (what, r["via"]) == places[place]

    return len(
        {
            r["who"]
            for r in rows
            if bounds[period[0]] <= r["at"][:10] < bounds[period[1] + 1]
            and (segment is None or of[r["who"]][segment[0]] == segment[1])
            and is_there(r)
        }
    )


EVERY = [None, *((d, v) for d, values in DIMENSIONS.items() for v in values)]


def test_a_solver_never_pins_a_group_to_fewer_than_k(log, snapshot: Snapshot) -> None:
    """The real attack: all published numbers of a row at once, as equations for the smallest parts.

    The attacker is told how far off the numbers of the row are at most, and how large what is blank
    is at most, which is more than can be known, and asks for bounds of every group, those of
    segments that are not named too. (Each number rounded by itself does not stand this.)
    """
    count = len(snapshot.periods)
    codes = list(itertools.product(*DIMENSIONS.values()))
    parts = [(code, p, q) for code in codes for p in range(count) for q in range(-1, p)]

    def adds(segment, period) -> np.ndarray:
        first, last = period
        at = None if segment is None else list(DIMENSIONS).index(segment[0])
        return np.array(
            [
                float((at is None or c[at] == segment[1]) and first <= p <= last and q < first)
                for c, p, q in parts
            ]
        )

    small = 0
    for row, numbers in customers(snapshot).items():
        exact = {w: true_customers(log, snapshot, row, *w) for w in selections(snapshot, EVERY)}
        off = max((abs(n - exact[w]) for w, n in numbers.items() if n is not None), default=0)
        blank = max((exact[w] for w, n in numbers.items() if n is None), default=K)
        matrix = np.array([adds(*w) for w in numbers])
        bounds = [(0, max(K, blank)) if n is None else (n - off, n + off) for n in numbers.values()]
        lower, upper = np.array(bounds, dtype=float).T
        equations = {"A_ub": np.vstack([matrix, -matrix]), "b_ub": np.concatenate([upper, -lower])}
        for where, number in exact.items():
            if not 0 < number < K:
                continue
            small += 1
            least = linprog(adds(*where), **equations)
            assert least.success, "the log itself solves the equations"
            if np.ceil(least.fun - 1e-6) < 1:
                continue  # perhaps nobody at all
            most = -linprog(-adds(*where), **equations).fun
            assert np.floor(most + 1e-6) >= K, (row, where, number, least.fun, most)
    assert small > 100, "the log must hold small groups"


MEASURES = ("touchpoints", "transitions", "first_contacts", "stage_funnel")


def counted_columns():
    """Every published column of numbers of people, contacts, journeys …"""
    for measure in map(PUBLISHED.get, MEASURES):
        for field, table in measure.tables.items():
            for name, column in table.columns.items():
                if isinstance(column, Count) and column.each != "total":
                    yield measure.name, field, name, table.key


def test_no_sum_or_difference_of_numbers_is_between_one_and_k(snapshot: Snapshot) -> None:
    """Pairs of selections, everybody less segments, ranges less their parts, contacts less moves:
    whatever is added and subtracted stays a multiple of k.
    """
    tried = 0
    for measure, field, column, key in counted_columns():
        numbers = defaultdict(dict)
        for segment, period in selections(snapshot):
            answer = getattr(snapshot.table(measure, segment=segment, period=period), field)
            for row in answer.iter_rows(named=True):
                numbers[tuple(row[k] for k in key)][segment, period] = row[column] or 0
        for values in numbers.values():
            for one, other in itertools.combinations(values, 2):
                assert not 0 < abs(values[one] - values[other]) < K
                tried += 1
            for period in {p for _, p in values}:
                for dimension in DIMENSIONS:
                    parts = [
                        n for (s, p), n in values.items() if p == period and s and s[0] == dimension
                    ]
                    rest = values.get((None, period), 0) - sum(parts)
                    assert not 0 < abs(rest) < K
                    tried += 1
    for segment, period in selections(snapshot):
        where = {"segment": segment, "period": period}
        moves = snapshot.transitions(**where).table.group_by("source").agg(pl.col("n").sum())
        left = snapshot.touchpoints(**where).table.join(
            moves, left_on="place", right_on="source", how="left"
        )
        assert not (left["contacts"] - left["n"]).abs().is_between(1, K - 1).any()
        tried += len(left)
    assert tried > 5000


def test_findings_of_segments_and_of_everybody_differ_by_none_or_k(snapshot: Snapshot) -> None:
    keys = ("source_place", "target_place", "signal")
    everybody = snapshot.findings().table
    tried = 0
    for segment in snapshot.segments:
        both = everybody.join(snapshot.findings(segment=segment).table, on=keys, suffix="_of")
        for column in ("customers", "n", "customers_affected"):
            gap = (both[column].fill_null(0) - both[f"{column}_of"].fill_null(0)).abs()
            assert not gap.is_between(1, K - 1).any()
            tried += len(gap)
    counted = everybody.select("customers", "n", "customers_affected").unpivot()["value"]
    assert ((counted.drop_nulls() % K == 0) & (counted.drop_nulls() >= 2 * K)).all()


def test_numbers_of_segments_and_periods_add_up(snapshot: Snapshot) -> None:
    """What readers gain by it: contacts of months make up the year, those of regions everybody."""
    count = len(snapshot.periods)
    wholes = {"whole": [{}]}
    wholes["months"] = [{"period": (p, p)} for p in range(count)]
    wholes["regions"] = [{"segment": ("region", r)} for r in ("north", "south")]
    summed = {name: [] for name in wholes}
    for name, parts in wholes.items():
        tables = [snapshot.touchpoints(**where).by_stage for where in parts]
        for row in range(len(tables[0])):
            cells = [table.row(row, named=True) for table in tables]
            is_shown = all(cell["customers"] for cell in cells)
            # These are rounded to 20 and more, so that a blank in a shown row is a 0.
            summed[name].append(sum(cell["contacts"] or 0 for cell in cells) if is_shown else None)
    added = pl.DataFrame(summed).drop_nulls()
    assert len(added) >= 2
    assert (added["whole"] == added["months"]).all()
    assert (added["whole"] >= added["regions"]).all(), "the island is what is left, rounded"


def test_rare_touchpoints_are_counted_together(log, snapshot: Snapshot) -> None:
    table = snapshot.touchpoints().table
    other = table.filter(pl.col("touchpoint") == "other touchpoints").row(0, named=True)
    callers = {r["who"] for r in log[0] if r["what"].startswith("call of")}
    assert len(callers) >= 15
    assert other["channel"] == "phone"
    assert other["customers"] == (len(callers) + 5) // 10 * 10
    each = defaultdict(set)
    for r in log[0]:
        each[r["what"]].add(r["who"])
    assert all(len(who) < 15 for what, who in each.items() if what.startswith("call of"))
    assert not [name for name in table["touchpoint"] if name.startswith("call of")]


def test_without_a_few_customers_every_number_is_the_same_or_a_step_away(
    log, snapshot: Snapshot, tmp_path
) -> None:
    """Two snapshots, with and without k-1 customers (the heaviest among them), tell no number of
    them: no figure and no difference of theirs lies between 1 and k-1 customers.
    """
    rows, people = log
    contacts = defaultdict(int)
    for row in rows:
        contacts[row["who"]] += 1
    heaviest = sorted(contacts, key=contacts.get, reverse=True)[:2]
    left_out = {*heaviest, *(p["customer"] for p in people[6:13])}
    assert len(left_out) == K - 1
    workspace = publish_log.build(log, tmp_path, without=left_out)
    other = publish(workspace, k=K, answers=("touchpoints", "transitions"))
    compared = changed = 0
    for segment, period in selections(snapshot, [None, *other.segments]):
        where = {"segment": segment, "period": period}
        for table, key in (("touchpoints", "place"), ("transitions", "source")):
            names = {"place": ["touchpoint", "channel"]}.get(
                key, ["source_touchpoint", "source_channel", "target_touchpoint", "target_channel"]
            )
            column = "customers" if table == "touchpoints" else "n"
            both = (
                snapshot.table(table, **where)
                .table.select(*names, before=column)
                .join(
                    other.table(table, **where).table.select(*names, after=column),
                    on=names,
                    how="full",
                    coalesce=True,
                )
                .with_columns(pl.col("before", "after").fill_null(0).cast(pl.Int64))
            )
            gap = (both["before"] - both["after"]).abs()
            assert not gap.is_between(1, K - 1).any()
            compared += len(gap)
            changed += (gap > 0).sum()
    assert compared > 300
    assert 0 < changed < compared / 2, "most numbers do not move at all"


def test_no_byte_of_the_snapshot_names_anybody(log, snapshot: Snapshot) -> None:
    rows, people = log
    parts = []
    for path in sorted(p for p in snapshot.folder.rglob("*") if p.is_file()):
        parts.append(path.name.encode() + b"\n" + path.read_bytes())
        if path.suffix == ".parquet":
            parts.append(pl.read_parquet(path).write_ndjson().encode())
    published = b"\n".join(parts)
    assert b"<" in published, "the first paint is among it"
    assert b"visit" in published
    for person in people:
        assert person["customer"].encode() not in published
        assert person["customer"].split("-")[2].encode() not in published
    for secret in (publish_log.COMMENT, "Mrs", "isle", "watch", "desk of"):
        assert secret.encode() not in published
    assert [r for r in rows if r["said"]]


def test_a_log_of_twins_is_published_as_it_is(tmp_path) -> None:
    """Where every customer has k-1 others just like them there is no small group, and the numbers
    of customers are the exact ones: nobody can tell from them that a log is not of that kind.
    """
    rows, people = publish_log.simulate(seed=3, customers=30)
    twins = [
        [{**line, name: f"{line[name]}-{twin}"} for line in lines for twin in range(K)]
        for lines, name in ((rows, "who"), (people, "customer"))
    ]
    log = twins[0], twins[1]
    snapshot = publish(publish_log.build(log, tmp_path), k=K, answers=("touchpoints",))
    shown = 0
    for where in selections(snapshot):
        answer = snapshot.touchpoints(segment=where[0], period=where[1])
        true = true_customers(log, snapshot, ("all",), *where)
        assert answer.customers == (true if true >= 2 * K else 0)
        for row in answer.table.iter_rows(named=True):
            true = true_customers(log, snapshot, ("place", row["place"]), *where)
            assert row["customers"] == (true if true >= 2 * K else None)
            shown += row["customers"] is not None
    assert shown > 50
