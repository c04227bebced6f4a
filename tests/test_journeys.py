"""Journeys: the vectorised split against a loop, and the cases its rule speaks of."""

import polars as pl
import pytest
from journey_oracle import contact, journey_map, make_workspace, random_log, split


def stored(workspace):
    """Journeys of a workspace as lists of (customer, time, touchpoint), in order."""
    events = workspace.events().collect()
    parts = events.partition_by("journey", maintain_order=True)
    return [list(zip(p["customer"], p["occurred_at"], p["touchpoint"], strict=True)) for p in parts]


def by_loop(log, rule):
    return [[(c.customer, c.at, c.touchpoint) for c in j.contacts] for j in split(log, rule)]


RULES = {
    "gap and goal": journey_map(),
    "no gap": journey_map(gap=None),
    "no goal": journey_map(goal=(), lost=()),
    "neither": journey_map(gap=None, goal=(), lost=()),
    "one journey": journey_map(gap=None, restart=False),
    "goal after sales": journey_map(goal=("support",)),
}


@pytest.mark.parametrize("name", RULES)
def test_random_logs_split_as_the_loop_splits_them(tmp_path, name):
    log = random_log(7, customers=120)
    workspace = make_workspace(tmp_path / "ws", log, rule=RULES[name])
    assert sorted(stored(workspace)) == sorted(by_loop(log, RULES[name]))
    journeys = workspace.store().select("journey").collect()["journey"]
    assert journeys.is_sorted()
    assert journeys.unique().to_list() == list(range(workspace.manifest["counts"]["journeys"]))


def test_what_was_known_at_each_contact(tmp_path):
    log = random_log(8, customers=80)
    rule = journey_map()
    workspace = make_workspace(tmp_path / "ws", log, rule=rule)
    rows = (
        workspace.store()
        .join(workspace.customers().select("customer", "name"), on="customer")
        .select("name", "occurred_at", "position", "stage_high", "reached", "lost")
        .collect()
    )
    expected = set()
    for journey in split(log, rule):
        high, reached, lost = 255, False, False
        for position, c in enumerate(journey.contacts):
            if c.stage_index is not None:
                high = c.stage_index if high == 255 else max(high, c.stage_index)
            reached |= c.touchpoint in rule.journey.goal
            lost |= c.touchpoint in rule.journey.lost
            expected.add((c.customer, c.at, position, high, reached, lost))
    assert set(rows.iter_rows()) == expected


@pytest.mark.parametrize(
    ("contacts", "journeys"),
    [
        pytest.param([(0, "page"), (30, "page")], 1, id="a silence as long as the gap"),
        pytest.param([(0, "page"), (30.01, "page")], 2, id="a silence longer than the gap"),
        pytest.param([(0, "pay"), (1, "support")], 1, id="aftersales belong to the purchase"),
        pytest.param([(0, "pay"), (1, "page")], 2, id="exploring again"),
        pytest.param([(0, "pay"), (1, "pay")], 1, id="paying in two parts"),
        pytest.param([(0, "pay"), (1, "newsletter")], 1, id="a mailing opens nothing"),
        pytest.param(
            [(0, "pay"), (1, "newsletter"), (2, "ad"), (3, "page")], 2, id="after the mailing"
        ),
        pytest.param([(0, "refused"), (1, "page")], 2, id="after a loss"),
        pytest.param(
            [(0, "page"), (1, "pay"), (2, "support"), (3, "page"), (4, "pay"), (5, "basket")],
            3,
            id="three cycles",
        ),
    ],
)
def test_where_a_journey_ends(tmp_path, contacts, journeys):
    log = [contact("anna", day, name) for day, name in contacts]
    workspace = make_workspace(tmp_path / "ws", log)
    assert workspace.manifest["counts"]["journeys"] == journeys


def test_row_order_does_not_matter_even_for_ties(tmp_path):
    log = random_log(3, customers=40)
    tied = [contact("zoe", 1, name) for name in ("pay", "page", "ad", "unknown thing", "support")]
    log += tied
    one = make_workspace(tmp_path / "one", log)
    other = make_workspace(tmp_path / "other", log[::-1])
    assert one.store().drop("sequence").collect().equals(other.store().drop("sequence").collect())
    zoe = one.events().filter(pl.col("customer") == "zoe").collect()["touchpoint"].to_list()
    assert zoe == ["ad", "page", "pay", "support", "unknown thing"]
    assert one.manifest["counts"]["tied_timestamps"] == 4
