"""What follows what, against contacts followed by hand."""

from collections import Counter
from datetime import timedelta
from random import Random
from statistics import median

import pytest
from journey_oracle import (
    BY_NAME,
    GAP,
    START,
    aalen_johansen,
    contact,
    follow,
    journey_map,
    make_workspace,
    random_log,
)

from cxlib.measures.transitions import measure_handoffs, measure_transitions
from cxlib.summary import Selection


def test_counts_match_contacts_followed_by_hand(log, rule, summary):
    found = measure_transitions(summary)
    expected = Counter(
        (f.contact.touchpoint, f.target.touchpoint) for f in follow(log, rule) if f.target
    )
    rows = {(r["source"], r["target"]): r["n"] for r in found.table.iter_rows(named=True)}
    assert rows == expected
    assert found.contacts == len(log)
    assert found.table["n"].is_sorted(descending=True)


@pytest.mark.parametrize("by", ["channel", "stage"])
def test_groups_count_like_their_contacts(log, rule, summary, by):
    expected = Counter(
        (getattr(f.contact, by), getattr(f.target, by)) for f in follow(log, rule) if f.target
    )
    table = measure_transitions(summary, by=by).table
    assert {(r["source"], r["target"]): r["n"] for r in table.iter_rows(named=True)} == expected


def test_owners_that_nobody_named_are_called_none(summary):
    table = measure_transitions(summary, by="owner").table
    assert "none" in table["source"].to_list()
    assert table["source"].null_count() == 0


def test_places_add_up_to_touchpoints(summary):
    places = measure_transitions(summary, by="place").table
    together = Counter()
    for r in places.iter_rows(named=True):
        together[r["source_touchpoint"], r["target_touchpoint"]] += r["n"]
    table = measure_transitions(summary).table
    assert {(r["source"], r["target"]): r["n"] for r in table.iter_rows(named=True)} == together


def test_shares_are_near_aalen_johansen_at_exact_times(log, rule, summary):
    """A bin is a third wide; with 20 to 100 contacts a touchpoint, worth a point or two."""
    table = measure_transitions(summary).table
    share = {(r["source"], r["target"]): r["share"] for r in table.iter_rows(named=True)}
    for source in BY_NAME:
        observed = []
        for f in follow(log, rule):
            if f.contact.touchpoint != source:
                continue
            wait = min(f.wait, GAP + timedelta(seconds=1))  # known once the gap has passed
            cause = f.target.touchpoint if f.target else f.sequel
            observed.append((wait.total_seconds(), None if f.sequel == "open" else cause))
        exact = aalen_johansen(observed)
        for target in BY_NAME:
            if (source, target) in share:
                assert share[source, target] == pytest.approx(exact[target], abs=0.02)


def test_waits_without_censoring_are_within_a_bin_of_the_exact_median(tmp_path):
    dice = Random(3)
    log, waits = [], []
    for i in range(200):
        wait = dice.expovariate(1 / 3)
        waits.append(wait)
        log += [contact(f"c{i}", 0, "ad"), contact(f"c{i}", wait, "page")]
    rule = journey_map(until=START + timedelta(days=300))
    row = measure_transitions(make_workspace(tmp_path / "w", log, rule=rule).summary()).table.row(
        0, named=True
    )
    # the gap of 30 days cuts off one wait in 22,000
    assert row["n"] == 200
    assert row["share"] == pytest.approx(1.0)
    assert row["wait"] / timedelta(days=1) == pytest.approx(median(waits), rel=0.35)
    assert row["wait_low"] < row["wait"] < row["wait_high"]


def test_short_waits_are_not_favoured_at_the_end_of_the_log(tmp_path):
    """Half wait 1 hour, half 20 days; most began only 10 days before the end of the log.

    Of the waits seen, nearly all are short. The 60 who began long ago say that half are not.
    """
    log = []
    for i in range(400):
        begin = 0 if i < 60 else 80
        log.append(contact(f"c{i}", begin, "ad"))
        wait = 1 / 24 if i % 2 else 20
        if begin + wait <= 90:
            log.append(contact(f"c{i}", begin + wait, "page"))
    rule = journey_map(until=START + timedelta(days=90))
    made = measure_transitions(make_workspace(tmp_path / "w", log, rule=rule).summary()).table
    row = made.row(0, named=True)
    seen = [1 / 24] * 200 + [20] * 30
    assert median(seen) == 1 / 24
    assert row["n"] == 230
    assert row["share"] == pytest.approx(1.0)
    assert row["wait_high"] > timedelta(days=10)


def test_handoffs_are_the_transitions_that_change_channel_or_owner(log, rule, summary):
    def owner(c):
        return BY_NAME[c.touchpoint].owner if c.touchpoint in BY_NAME else None

    def change(a, b):
        owners = {owner(a), owner(b)}
        kinds = [
            "channel" if a.channel != b.channel else "",
            "owner" if len(owners) == 2 and None not in owners else "",
        ]
        return " and ".join(k for k in kinds if k)

    expected = Counter()
    followed = [f for f in follow(log, rule) if f.target]
    for f in followed:
        a, b = f.contact, f.target
        if change(a, b):
            expected[a.touchpoint, a.channel, b.touchpoint, b.channel, change(a, b)] += 1
    found = measure_handoffs(summary)
    rows = found.table.select(
        "source_touchpoint", "source_channel", "target_touchpoint", "target_channel", "change", "n"
    ).rows()
    assert {r[:-1]: r[-1] for r in rows} == expected
    assert found.transitions == len(followed)


@pytest.mark.parametrize("by", ["touchpoint", "place", "stage"])
def test_shares_of_a_source_never_exceed_one(summary, by):
    table = measure_transitions(summary, by=by).table
    for _, part in table.group_by("source"):
        assert part["share"].sum() <= 1 + 1e-9
    for x, low, high in table.select("share", "share_low", "share_high").rows():
        assert 0 <= low <= x <= high <= 1
    for x, low, high in table.select("wait", "wait_low", "wait_high").drop_nulls().rows():
        assert low <= x <= high


def test_a_selection_by_segment_and_channel_narrows_the_source(log, rule, summary):
    found = measure_transitions(summary, where=Selection(channel="store"))
    followed = [f for f in follow(log, rule) if f.contact.channel == "store"]
    assert found.contacts == len(followed)
    assert found.table["n"].sum() == sum(f.target is not None for f in followed)


def test_a_log_without_any_transition_gives_an_empty_table(tmp_path):
    made = make_workspace(tmp_path / "w", [contact("a", 0, "ad")]).summary()
    found = measure_transitions(made)
    assert found.table.is_empty()
    assert (
        found.table.schema == measure_transitions(made, where=Selection(channel="web")).table.schema
    )
    assert measure_handoffs(made).table.is_empty()


def test_row_order_does_not_matter(tmp_path, rule):
    log = random_log(9, 40)
    both = [
        measure_transitions(make_workspace(tmp_path / str(i), rows, rule=rule).summary()).table
        for i, rows in enumerate((log, log[::-1]))
    ]
    assert both[0].equals(both[1])
