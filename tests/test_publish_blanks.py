"""What is blank tells no more than the rounded counts do, nobody dominates a figure, and no instant
is anybody's: attacks on snapshots of many small logs.
"""

import json
import random
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import polars as pl
import publish_log
import pytest

from cxlib.columns import Count, Rating, Share, Wait
from cxlib.ingest import read_customers, read_events
from cxlib.journey_map import read_journey_map
from cxlib.publish import publish
from cxlib.publish import write as publish_write
from cxlib.publish.small_groups import EXACT, LEAST_STEPS, cases_of, protect
from cxlib.store import build_workspace

K = 10
START = datetime(2026, 1, 1, tzinfo=UTC)


def build(tmp_path, rows, *, people=None, columns="", more=""):
    """Make a workspace of rows (who, at, what, …), all on the web."""
    text = f"""
version: 1
name: Blanks
columns: {{customer: who, occurred_at: at, touchpoint: what{columns}}}
time_zone: UTC
period: month
journey: {{gap: 20d, goal: [payment]}}
stages: [awareness, conversion]
touchpoints:
  - {{name: visit, stage: awareness, channel: web}}
  - {{name: call, stage: awareness, channel: phone}}
  - {{name: payment, stage: conversion, channel: web}}
{more}"""
    tmp_path.mkdir(parents=True, exist_ok=True)
    (tmp_path / "map.yaml").write_text(text)
    pl.DataFrame(rows, infer_schema_length=None).write_csv(tmp_path / "log.csv")
    journey_map = read_journey_map(tmp_path / "map.yaml")
    customers = None
    if people is not None:
        pl.DataFrame(people).write_csv(tmp_path / "people.csv")
        customers = read_customers(tmp_path / "people.csv", journey_map)
    events = read_events([tmp_path / "log.csv"], journey_map)
    return build_workspace(events, tmp_path / "workspace", customers=customers)


def contact(who, days, what, **more):
    at = (START + timedelta(days=days)).isoformat(timespec="seconds")
    return {"who": who, "at": at, "what": what, **more}


def record(workspace, monkeypatch, **options):
    """Publish, and return with the snapshot what went into each protected table and came out."""
    seen = []

    def watch(table, columns, **given):
        safe = protect(table, columns, **given)
        seen.append((table, columns, given, safe))
        return safe

    with monkeypatch.context() as patch:
        patch.setattr(publish_write, "protect", watch)
        return publish(workspace, k=K, **options), seen


MEASURES = ("touchpoints", "transitions", "first_contacts", "stage_funnel")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Protected tables of several small logs with planted tiny groups."""
    tables = []
    with pytest.MonkeyPatch.context() as patch:
        for seed in range(3):
            log = publish_log.simulate(seed=seed, customers=(60, 110, 200)[seed])
            workspace = publish_log.build(log, tmp_path_factory.mktemp(f"log{seed}"))
            tables += record(workspace, patch, answers=MEASURES)[1]
    return tables


def counted(columns, table):
    return [n for n, c in columns.items() if isinstance(c, Count) and n in table.columns]


def cases(columns, share):
    """The counts that are the numerator of a share."""
    column = columns[share]
    return column.cases or (column.of,)


def test_rows_with_the_same_rounded_counts_have_the_same_blanks(recorded):
    """The attack: shares blank by the exact count beside customers shown by the rounded one."""
    patterns = defaultdict(set)
    telling = 0
    for table, columns, options, safe in recorded:
        counts = counted(columns, table)
        bounds = options["influence"]
        joined = (
            table.join(bounds, on=list(options["on"]), how="left", maintain_order="left")
            if options["on"]
            else table
        )
        figures = [
            c
            for c in safe.columns
            if isinstance(columns.get(c.removesuffix("_low").removesuffix("_high")), Share | Count)
        ]
        known = tuple(table[c].null_count() < len(table) for c in figures)
        added = [c for c in joined.columns if c not in table.columns]
        for row, shown in zip(joined.to_dicts(), safe.to_dicts(), strict=True):
            key = (*counts, *(row[c] for c in (*counts, *added)), *known)
            patterns[key].add(tuple(shown[c] is None for c in figures))
            few = any(0 < row[f"{EXACT}{c}"] < K <= row[c] for c in counts)
            telling += few
    assert telling > 100, "the logs must hold groups that look larger than they are"
    assert all(len(found) == 1 for found in patterns.values())
    assert len(patterns) > 200


def test_a_table_of_the_rounded_counts_is_protected_to_the_same(recorded):
    """The rebuilt log: its exact counts are the rounded ones, its shares those of these counts."""
    compared = 0
    for table, columns, options, safe in recorded:
        counts = counted(columns, table)
        shares = {n: c for n, c in columns.items() if isinstance(c, Share) and n in table.columns}
        rebuilt = table.with_columns(pl.col(c).alias(f"{EXACT}{c}") for c in counts)
        known = {
            n: pl.sum_horizontal(pl.col(x).cast(pl.Float64) for x in cases(columns, n))
            / pl.col(cases_of(c, columns))
            for n, c in shares.items()
        }
        is_known = {c: table[c].null_count() < len(table) for c in shares}
        rebuilt = rebuilt.with_columns(
            pl.when(is_known[c]).then(e).alias(c) for c, e in known.items()
        )
        again = protect(rebuilt, columns, **options)
        same = [c for c in (*counts, *shares) if c in safe.columns]
        assert again.select(counts).equals(safe.select(counts))
        for column in same:
            assert again[column].is_null().equals(safe[column].is_null()), column
        for column, rule in shares.items():
            if rule.open is None:  # a share of counts
                assert again[column].equals(safe[column]), column
                compared += again[column].drop_nulls().len()
    assert compared > 100


def test_shares_lie_within_what_the_rounded_counts_allow(recorded):
    tried = 0
    for table, columns, _, safe in recorded:
        for column, share in columns.items():
            if not isinstance(share, Share) or column not in safe.columns:
                continue
            of = cases_of(share, columns)
            raw = table.select(
                low=(pl.sum_horizontal(pl.col(c).cast(pl.Int64) for c in cases(columns, column)))
                / pl.col(of),
                open=(pl.col(share.open) if share.open else pl.lit(0)) / pl.col(of),
                value=safe[column],
            ).drop_nulls("value")
            high = (raw["low"] + raw["open"]).clip(0, 1)
            assert (raw["value"] >= raw["low"].clip(0, 1) - 1e-4).all()
            assert (raw["value"] <= high + 1e-4).all()
            tried += len(raw)
    assert tried > 300


@pytest.mark.parametrize("seed", [1, 2])
def test_a_log_rebuilt_from_what_is_published_is_published_the_same(tmp_path_factory, seed):
    """End to end, where a log can be rebuilt: every customer comes once, at one touchpoint."""
    draw = random.Random(seed)
    log = [
        (draw.choice(["north", "south", "south", "north", "isle"]), draw.randrange(3))
        for _ in range(60 * seed)
    ]
    with pytest.MonkeyPatch.context() as patch:
        first, seen = record(one_contact_each(tmp_path_factory, log), patch, answers=MEASURES)
        table = next(t for t, columns, *_ in seen if "place" in columns)
        rebuilt = rounded_log(first, table)
        again, _ = record(one_contact_each(tmp_path_factory, rebuilt), patch, answers=MEASURES)
    assert again.segments == first.segments
    assert again.periods == first.periods
    for name in MEASURES:
        for segment in (None, *first.segments):
            for period in [None, *((p, p) for p in range(len(first.periods)))]:
                where = {"segment": segment, "period": period}
                a, b = first.table(name, **where), again.table(name, **where)
                for field in ("table", "whole", "by_stage", "by_channel"):
                    if hasattr(a, field):
                        assert_published_the_same(getattr(a, field), getattr(b, field))


def assert_published_the_same(one, other):
    assert one.columns == other.columns
    assert len(one) == len(other)
    counts = [c for c in one.columns if c.endswith("_n") or c in ("customers", "contacts", "n")]
    assert one.select(counts).equals(other.select(counts))
    # the order is by the lower ends that are published, and those are estimates
    for column in set(one.columns) - {"weakest"}:
        assert one[column].is_null().equals(other[column].is_null()), column
    if "weakest" in one.columns:
        for table in (one, other):
            ranked = table.filter(pl.col("weakest").is_not_null())
            assert (ranked["lost_low"] > 0).all()


def one_contact_each(factory, log):
    rows = [contact(f"c{n}", 31 * month + 3 + n % 7, "visit") for n, (_, month) in enumerate(log)]
    # so that both logs end alike
    rows += [contact(f"end{n}", 92 + n / 24, "visit") for n in range(4 * K)]
    # what is left over is of no one region: it would be named where it is large
    people = [{"customer": f"c{n}", "region": r} for n, (r, _) in enumerate(log) if r]
    people += [{"customer": f"end{n}", "region": "south"} for n in range(4 * K)]
    return build(factory.mktemp("each"), rows, people=people)


def rounded_log(snapshot, table):
    """Customers (region, month) as many as the rounded counts say, those not shown among them."""
    count = len(snapshot.periods)
    ranges = [None, *((a, b) for a in range(count) for b in range(a, count) if b - a + 1 < count)]
    segments = [None, *snapshot.segments]
    number = {
        (segment, period): int(table["contacts"][i * len(ranges) + j])
        for i, segment in enumerate(segments)
        for j, period in enumerate(ranges)
    }
    log = []
    for month in range(count):
        period = (month, month) if count > 1 else None
        named = {s: number[s, period] for s in segments[1:]}
        rest = number[None, period] - sum(named.values())
        at = snapshot.periods[month].month - 1
        ending = 4 * K * (at == 3)
        parts = [(s[1], n - ending * (s[1] == "south")) for s, n in named.items()]
        log += [(region, at) for region, n in [*parts, (None, rest)] for _ in range(n)]
    return log


@pytest.fixture
def heavy(tmp_path):
    """40 customers who wait five minutes, give a 9 and cost little; one who does it 300 times."""

    def make(ordinary, times):
        rows = []
        for n in range(ordinary):
            rows += [
                contact(f"c{n}", n / 10, "visit", stars=9, costs=1, until=None),
                contact(f"c{n}", n / 10 + 5 / 1440, "call", stars=9, costs=1, until=None),
            ]
        for n in range(times):
            rows += [
                contact("heavy", n / 5, "visit", stars=2, costs=400, until=None),
                contact("heavy", n / 5 + 63 / 1440, "call", stars=2, costs=400, until=None),
            ]
        for row in rows:
            length = timedelta(hours=9 if row["who"] == "heavy" else 0.1)
            row["until"] = (datetime.fromisoformat(row["at"]) + length).isoformat()
        more = "rating_scale: {name: stars, min: 0, max: 10}\n"
        columns = ", rating: stars, cost: costs, ended_at: until"
        return build(tmp_path, rows, columns=columns, more=more)

    return make


def test_one_heavy_customer_is_nobodys_median_mean_or_cost(heavy):
    snapshot = publish(heavy(40, 300), k=K, answers=MEASURES)
    for table in (snapshot.touchpoints().table, snapshot.touchpoints().whole):
        for row in table.iter_rows(named=True):
            assert row["customers"] == 40
            for figure in ("next_wait", "rating", "dwell", "cost", "cost_per_contact", "go_on"):
                assert row[figure] is None, figure
    assert snapshot.transitions().table["wait"].null_count() == len(snapshot.transitions().table)


def test_among_many_the_heavy_customer_does_not_show(heavy):
    """Shown where the others outweigh the heavy ones, and then it is theirs."""
    snapshot = publish(heavy(900, 60), k=K, answers=MEASURES)
    visit = snapshot.touchpoints().table.filter(pl.col("touchpoint") == "visit").row(0, named=True)
    assert visit["next_wait"] < timedelta(minutes=8)
    assert visit["rating"] > 8
    assert visit["dwell"] is None, "of 63,000 seconds of 900 customers and 540 hours of one"
    assert visit["cost"] is None, "24,000 of 24,900 are one customer's"


def test_nine_customers_are_never_two_fifths_of_a_figure(recorded, tmp_path_factory):
    """Recounted from the log: for everybody and the whole time, wherever a figure is shown."""
    log = publish_log.simulate(seed=1)
    snapshot = publish(publish_log.build(log, tmp_path_factory.mktemp("w")), k=K, answers=MEASURES)
    contacts = defaultdict(Counter)
    for row in log[0]:
        contacts[row["what"], row["via"]][row["who"]] += 1
    shown = blank = 0
    for row in snapshot.touchpoints().table.iter_rows(named=True):
        of = contacts[row["touchpoint"], row["channel"]]
        top = sum(n for _, n in of.most_common(K - 1))
        if row["open"] is None:
            blank += 1
        elif of:
            shown += 1
            assert top < 0.4 * of.total()
    assert shown + blank > 4
    for table, columns, options, safe in recorded:
        few = [n for n, c in columns.items() if isinstance(c, Rating | Wait) and n in safe.columns]
        for column in few:
            of = cases_of(columns[column], columns)
            base = (LEAST_STEPS - 1) * K
            exact = table.filter(safe[column].is_not_null())[f"{EXACT}{of}"]
            whole = safe[column].drop_nulls()
            lonely = exact < base
            # what only rounding made large enough is given the figure of everybody
            if lonely.any():
                keys = list(options["on"])
                everybody = safe.filter(pl.col("_selection") == 0).select(*keys, own=column)
                given_to = safe.filter(safe[column].is_not_null()).filter(lonely)
                same = (
                    given_to.join(everybody, on=keys, how="left")
                    if keys
                    else given_to.join(everybody, how="cross")
                )
                assert (same[column] == same["own"]).all()
            assert len(whole) == len(exact)


ISO = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?")


def test_no_published_instant_is_anybodys(tmp_path):
    """One customer long before the others and one long after: their days are nowhere."""
    rows = [contact(f"c{n}", 60 + n % 40 + n / 977, "visit") for n in range(300)]
    rows += [contact("early", 2.123, "visit"), contact("late", 190.456, "visit")]
    rows += [contact(f"c{n}", 60 + n % 40 + 3 + n / 977, "payment") for n in range(200)]
    people = [{"customer": f"c{n}", "region": "north"} for n in range(300)]
    workspace = build(tmp_path, rows, people=people)
    snapshot = publish(workspace, k=K, views={"map": lambda s: f"<p>{s.line()}</p>"})
    assert [p.isoformat() for p in snapshot.periods] == ["2026-03-01", "2026-04-01"]
    last = max(r["at"] for r in rows if r["who"] != "late")
    until = snapshot.manifest["observed_until"]
    assert until <= last
    assert until.endswith("T00:00:00+00:00")
    assert snapshot.touchpoints().customers == 300, "whoever came before or after is counted"
    own = {datetime.fromisoformat(r["at"]) for r in rows}
    lonely = {r["at"][:10].encode() for r in rows if r["who"] in ("early", "late")}
    numbers = {str(int(t.timestamp() * 10**n)) for t in own for n in (0, 3, 6)}
    searched = 0
    for file in sorted(p for p in snapshot.folder.rglob("*") if p.is_file()):
        published = file.read_bytes()
        if file.suffix == ".parquet":
            frame = pl.read_parquet(file)
            assert not any(isinstance(d, pl.Datetime) for d in frame.dtypes), file.name
            published = frame.write_ndjson().encode()
        assert not any(day in published for day in lonely), file.name
        assert not numbers & set(re.findall(r"\d{10,}", published.decode())), file.name
        found = set(ISO.findall(published))
        searched += len(found)
        if file.name == "manifest.json":
            found -= {snapshot.manifest["published_at"][:19].encode()}
        assert all(instant.endswith(b"T00:00:00") for instant in found), (file.name, found)
    assert searched > 3


def test_a_stated_end_of_observation_is_told_as_a_day(tmp_path):
    rows = [contact(f"c{n}", n % 40 + n / 977, "visit") for n in range(100)]
    workspace = build(tmp_path, rows, more="observed_until: 2026-03-31\n")
    snapshot = publish(workspace, k=K, answers=["touchpoints"])
    assert snapshot.manifest["observed_until"] == "2026-03-31T00:00:00+00:00"
    assert "31 March 2026" in snapshot.line()


def test_a_customer_who_comes_between_two_snapshots_moves_no_count_by_fewer_than_k(tmp_path):
    """Differencing: every count of the newer snapshot is the older one's or a step away."""
    log = publish_log.simulate(seed=5, customers=120)
    newcomer = "ident-0119"
    who = next(p["customer"] for p in log[1] if p["customer"].startswith(newcomer))
    older = publish(publish_log.build(log, tmp_path / "a", without={who}), k=K, answers=MEASURES)
    newer = publish(publish_log.build(log, tmp_path / "b"), k=K, answers=MEASURES)
    tried = 0
    for file in sorted(newer.folder.glob("*.parquet")):
        frames = [pl.read_parquet(s.folder / file.name) for s in (older, newer)]
        keys = [
            c
            for c in ("_selection", "touchpoint", "channel", "stage", "source", "target")
            if c in frames[0].columns and c in frames[1].columns
        ]
        counts = [c for c, d in frames[1].schema.items() if c.endswith("_n") or c == "customers"]
        if not counts or older.segments != newer.segments:
            continue
        both = frames[0].join(frames[1], on=keys, suffix="_new", how="inner", nulls_equal=True)
        for column in counts:
            gap = both[column].cast(pl.Int64) - both[f"{column}_new"].cast(pl.Int64)
            assert not gap.abs().is_between(1, K - 1).any(), (file.name, column)
            tried += gap.drop_nulls().len()
    assert tried > 200
    assert json.dumps(newer.manifest["customers"]) == "120"
