"""The journey summary: every table against plain counting, and the sums it promises."""

from collections import Counter
from datetime import timedelta
from functools import partial

import polars as pl
import pytest
from journey_oracle import START, contact, follow, journey_map, make_workspace, random_log, split
from polars.testing import assert_frame_equal

from cxlib.bins import BIN_EDGES, N_BINS
from cxlib.errors import InputError, UnknownNameError, WorkspaceError
from cxlib.store import Workspace
from cxlib.store.counting import count_bucket
from cxlib.store.engines import count_here
from cxlib.store.tables import add_up
from cxlib.store.walk import DONE, LOST, OPEN, SILENT
from cxlib.summary import TABLES, Selection, Summary, summarise

ENDS = {"silent": SILENT, "declined": LOST, "done": DONE, "open": OPEN}
PERSONAS = ("early", "late")


def bin_by_hand(wait: timedelta) -> int:
    return max(i for i, edge in enumerate(BIN_EDGES) if edge <= wait.total_seconds() + 1e-6)


@pytest.fixture(scope="module")
def log():
    return random_log(11, customers=150)


@pytest.fixture(scope="module")
def customers(log):
    names = sorted({c.customer for c in log})
    return pl.DataFrame(
        {"customer": names[:-5], "persona": [PERSONAS[i % 2] for i in range(len(names) - 5)]}
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, log, customers):
    return make_workspace(tmp_path_factory.mktemp("summary") / "ws", log, customers=customers)


@pytest.fixture(scope="module")
def summary(workspace):
    return summarise(workspace)


@pytest.fixture(scope="module")
def places(summary):
    return {
        (p["touchpoint"], p["channel"], p["stage"]): p["place"]
        for p in summary.places.iter_rows(named=True)
    }


def place_of(c):
    return (c.touchpoint, c.channel, c.stage)


def period_of(at):
    return at.month - 1 + 12 * (at.year - START.year)


def test_steps_are_one_count_per_contact(log, summary, places):
    expected = Counter()
    for f in follow(log, journey_map()):
        sequel = places[place_of(f.target)] if f.target else ENDS[f.sequel]
        # what took the whole gap to know stands in the last bin
        waited = N_BINS - 1 if f.wait > timedelta(days=30) else bin_by_hand(f.wait)
        key = (places[place_of(f.contact)], sequel, waited, period_of(f.contact.at))
        expected[key] += 1
    found = summary.steps.group_by("place", "next", "bin", "period").agg(pl.col("n").sum())
    assert {row[:4]: row[4] for row in found.iter_rows()} == expected
    assert summary.steps["n"].sum() == len(log)


def test_contacts_sum_ratings_dwell_and_cost(log, summary, places):
    found = summary.contacts.group_by("place").agg(pl.all().exclude("place").sum())
    for row in found.iter_rows(named=True):
        here = [c for c in log if places[place_of(c)] == row["place"]]
        ratings = [c.rating for c in here if c.rating is not None]
        dwell = [(c.ended_at - c.at).total_seconds() for c in here if c.ended_at]
        assert row["contacts"] == len(here)
        assert (row["rating_n"], row["rating_sum"]) == (len(ratings), sum(ratings))
        assert row["rating_sq"] == sum(r * r for r in ratings)
        assert (row["dwell_n"], row["dwell_seconds"]) == (len(dwell), pytest.approx(sum(dwell)))
        assert row["cost_sum"] == sum(c.cost for c in here if c.cost)


def test_reach_counts_distinct_customers_of_any_range_of_periods(log, summary, places):
    channels, stages = summary.channels, summary.stage_names
    last = len(summary.periods) - 1
    for first in range(last + 1):
        for final in range(first, last + 1):
            chosen = summary.select(Selection(period=(first, final))).reach
            found = {
                (level, key): n
                for level, key, n in chosen.group_by("level", "key")
                .agg(pl.col("customers").sum())
                .iter_rows()
            }
            seen = {}
            for c in log:
                if first <= period_of(c.at) <= final:
                    stage = stages.index(c.stage) if c.stage in stages else 255
                    for key in (
                        ("all", 0),
                        ("stage", stage),
                        ("channel", channels.index(c.channel)),
                        ("place", places[place_of(c)]),
                    ):
                        seen.setdefault(key, set()).add(c.customer)
            assert found == {k: len(v) for k, v in seen.items()}


def outcome_of(journey, since, rule, until, *, stages_after=None):
    """What came first of a journey from a contact on, in plain Python, with its time."""
    later = [c for c in journey.contacts if c.at >= since.at]
    events = []
    for c in later:
        if c.touchpoint in rule.journey.goal:
            events.append((c.at, 0 if stages_after is None else 1, "goal"))
        if c.touchpoint in rule.journey.lost:
            events.append((c.at, -1, "lost"))
        if stages_after is not None and c.stage_index is not None and c.stage_index > stages_after:
            below_goal = stages_after < 2
            events.append((c.at, 0 if below_goal else 3, "progress"))
    if events:
        at, _, outcome = min(events)
        return outcome, at - since.at
    last = journey.contacts[-1]
    silence = journey.ended_by_next if journey.ended_by_next is not None else until - last.at
    if silence > rule.journey.gap:
        return "silent", last.at + rule.journey.gap - since.at
    return "open", last.at + silence - since.at


def test_starts_are_one_count_per_journey(log, summary, places):
    rule = journey_map()
    until = max(c.at for c in log)
    expected = Counter()
    for journey in split(log, rule):
        first = journey.contacts[0]
        outcome, wait = outcome_of(journey, first, rule, until)
        if first.stage == "aftersales" and outcome not in ("goal", "lost"):
            outcome, wait = "done", timedelta()
        key = (places[place_of(first)], journey.first, outcome, bin_by_hand(wait))
        expected[(*key, period_of(first.at))] += 1
    found = summary.starts.group_by("place", "first_journey", "outcome", "bin", "period").agg(
        pl.col("n").sum()
    )
    assert {row[:5]: row[5] for row in found.iter_rows()} == expected


def test_stages_are_one_count_per_journey_and_stage_it_rose_to(log, summary):
    rule = journey_map()
    until = max(c.at for c in log)
    expected = Counter()
    for journey in split(log, rule):
        high = -1
        settled = None
        for c in journey.contacts:
            if c.stage_index is not None and c.stage_index > high:
                high = c.stage_index
                outcome, wait = outcome_of(journey, c, rule, until, stages_after=high)
                over = settled is not None or high == 3
                if outcome != "progress" and (
                    settled is not None or (over and outcome in ("silent", "open"))
                ):
                    outcome, wait = "done", timedelta()
                expected[(high, outcome, bin_by_hand(wait), period_of(c.at))] += 1
            if settled is None and c.touchpoint in (*rule.journey.goal, *rule.journey.lost):
                settled = c.at
    found = summary.stages.group_by("stage", "outcome", "bin", "period").agg(pl.col("n").sum())
    assert {row[:4]: row[4] for row in found.iter_rows()} == expected


def test_tables_are_sorted_and_buckets_share_no_customer(workspace, summary):
    for name in TABLES:
        table = getattr(summary, name)
        assert table["bucket"].is_sorted()
        keys = [c for c in table.columns if c not in ("n", "customers")]
        if name != "contacts":
            assert table.select(keys).is_unique().all()
    buckets = workspace.store().group_by("customer").agg(pl.col("bucket").n_unique()).collect()
    assert buckets["bucket"].to_list() == [1] * workspace.manifest["counts"]["customers"]


def test_a_segment_is_the_summary_of_its_customers(tmp_path, log, customers, summary):
    chosen = set(customers.filter(pl.col("persona") == "early")["customer"])
    alone = make_workspace(
        tmp_path / "alone",
        [c for c in log if c.customer in chosen],
        rule=journey_map(until=max(c.at for c in log)),
        customers=customers.filter(pl.col("persona") == "early"),
    )
    part = summary.select(Selection(segment=("persona", "early")))
    assert part.starts["n"].sum() == summarise(alone).starts["n"].sum()
    outcomes = part.starts.group_by("outcome").agg(pl.col("n").sum()).sort("outcome")
    assert_frame_equal(
        outcomes, summarise(alone).starts.group_by("outcome").agg(pl.col("n").sum()).sort("outcome")
    )


def test_tables_of_different_customers_add_up_to_those_of_all(tmp_path, log, customers):
    workspace = make_workspace(tmp_path / "ws", log, customers=customers)
    whole = summarise(workspace)
    files = workspace.bucket_files()
    halves = [count_here(files[i::2], partial(count_bucket, scope=workspace.scope)) for i in (0, 1)]
    for name, table in TABLES.items():
        parts = [add_up([part[name] for part in half], table) for half in halves]
        assert_frame_equal(add_up(parts, table), getattr(whole, name))


def test_written_and_read_again(tmp_path, summary):
    summary.write(tmp_path / "summary")
    again = Summary.read(tmp_path / "summary")
    assert (again.periods, again.gap, again.observed_until, again.stage_names) == (
        summary.periods,
        summary.gap,
        summary.observed_until,
        summary.stage_names,
    )
    for name in ("places", "segments", *TABLES):
        assert_frame_equal(getattr(again, name), getattr(summary, name))


def test_a_summary_of_another_version_is_counted_again(workspace):
    expected = workspace.summary().steps
    file = workspace.log_folder / "summary" / "summary.json"
    file.write_text(file.read_text("utf-8").replace('"version": ', '"version": 9'), "utf-8")
    with pytest.raises(WorkspaceError, match="another version"):
        Summary.read(workspace.log_folder / "summary")
    assert_frame_equal(workspace.summary().steps, expected)


def test_a_changed_bit_in_any_file_of_a_summary_is_noticed_and_counted_again(workspace):
    expected = workspace.summary().steps
    for file in sorted((workspace.log_folder / "summary").iterdir()):
        text = bytearray(file.read_bytes())
        text[len(text) // 2] ^= 4
        file.write_bytes(text)
        with pytest.raises(WorkspaceError, match=r"damaged|not as it was written|another version"):
            Summary.read(workspace.log_folder / "summary")
        assert_frame_equal(Workspace.open(workspace.path).summary().steps, expected)
        Summary.read(workspace.log_folder / "summary")  # written anew


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        (Selection(segment=("age", "old")), UnknownNameError, "no segment dimension 'age'"),
        (Selection(segment=("persona", "eary")), UnknownNameError, "Did you mean 'early'"),
        (Selection(channel="fax"), UnknownNameError, "no channel 'fax'"),
        (Selection(period=(0, 99)), InputError, "period 0 to 99 is outside the log"),
    ],
)
def test_selections_that_name_nothing_say_so(summary, where, error, message):
    with pytest.raises(error, match=message):
        summary.select(where)


def test_bins_are_ordered_and_cover_every_duration():
    assert len(BIN_EDGES) == N_BINS
    assert list(BIN_EDGES) == sorted(BIN_EDGES)
    assert BIN_EDGES[:2] == (0.0, 1.0)


def test_a_loss_placed_beyond_the_goal_counts_where_it_finds_the_customer(tmp_path):
    rule = journey_map(goal=("pay",), lost=("support",))  # "support" lies in aftersales
    log = [
        contact("a", 0, "ad"),
        contact("a", 1, "support"),
        contact("b", 0, "ad"),
        contact("b", 1, "basket"),
        contact("b", 2, "support"),
        contact("c", 0, "basket"),
        contact("c", 1, "pay"),
    ]
    stages = make_workspace(tmp_path / "ws", log, rule=rule).summary().stages
    counted = stages.group_by("stage", "outcome").agg(pl.col("n").sum())
    assert set(counted.iter_rows()) == {
        (0, "lost", 1),
        (0, "progress", 1),
        (2, "lost", 1),
        (2, "goal", 1),
        (3, "done", 2),
    }
