"""What-if: against journeys walked one by one, logs with a known cause, and arithmetic by hand."""

from collections import Counter
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from journey_oracle import START, contact, journey_map, make_workspace, random_log, split
from opportunity_logs import PAY, as_log, walk, world

from cxlib.errors import InputError, NotMeasurableError, UnknownNameError
from cxlib.opportunities.mending import mend_to_expected
from cxlib.opportunities.moves import read_moves
from cxlib.opportunities.what_if import LEAST_ALIKE, Change, estimate_what_if


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mending_gains_what_a_world_without_the_fault_has(tmp_path, seed):
    made, customers = world(seed), 2_500
    rows, _, usual = walk(made, customers, seed, fault=0.25)
    many = 200_000
    broken, mended = (walk(made, many, 99 + seed, fault=f)[1] for f in (0.25, 0.0))
    rule = journey_map(lost=(), until=START + timedelta(days=270))
    workspace = make_workspace(tmp_path / "ws", as_log(rows), rule=rule)
    change = Change(kind="mend", source="page", target="basket", rate=usual)
    found = estimate_what_if(workspace, [change]).conversions
    assert found["before"] == pytest.approx((rows[:, 2] == PAY).sum())
    assert found["low"] <= (mended - broken) / many * customers <= found["high"]
    assert found["low"] > 0


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    log = random_log(5, customers=190)
    return log, make_workspace(tmp_path_factory.mktemp("what_if") / "ws", log)


def moves_by_hand(log, rule):
    """Moves before the first goal, of contacts watched for the gap, in plain loops."""
    until, counted, begun = max(c.at for c in log), Counter(), 0
    for journey in split(log, rule):
        contacts = journey.contacts
        if contacts[0].stage == "aftersales":
            continue
        begun += 1
        before = None
        for i, c in enumerate(contacts):
            if c.touchpoint == "pay":
                break
            if c.at + rule.journey.gap <= until:
                after = contacts[i + 1] if i + 1 < len(contacts) else None
                name = None if after is None else (after.touchpoint, after.channel)
                counted[before, (c.touchpoint, c.channel), name] += 1
            before = (c.touchpoint, c.channel)
    return counted, begun


def test_moves_equal_plain_loops(small):
    log, workspace = small
    moves = read_moves(workspace)
    names = [*workspace.places.select("touchpoint", "channel").iter_rows(), None]
    found = Counter()
    for row in moves.table.iter_rows(named=True):
        after = row["next"]
        following = ("pay", "goal") if after == -1 else None if after == -2 else names[after]
        found[names[row["before"]], names[row["place"]], following] += row["n"]
    counted, begun = moves_by_hand(log, journey_map())
    expected = Counter()
    for (before, place, after), n in counted.items():
        paid = after is not None and after[0] == "pay"
        expected[before, place, ("pay", "goal") if paid else after] += n
    assert found == expected
    assert moves.starts["n"].sum() == begun


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (Change(kind="remove", source="basket"), LEAST_ALIKE),
        (Change(kind="add", source="ad", target="visit", rate=0.2), LEAST_ALIKE),
        (Change(kind="add", source="ad", target="visit", rate=0.2), 3),
    ],
    ids=str,
)
def test_the_chain_equals_journeys_walked_one_by_one(small, change, least, monkeypatch):
    monkeypatch.setattr("cxlib.opportunities.what_if.LEAST_ALIKE", least)
    _, workspace = small
    moves = read_moves(workspace)
    ad, visit = moves.at("ad"), moves.at("visit")
    chain = moves.first_order()
    added = visit
    came = moves.table.filter(pl.col("before").is_in(ad), pl.col("place").is_in(visit))
    if change.kind == "add" and came["n"].sum() >= least:  # states apart: they tell of the others
        chain = moves.first_order(ad, visit)
        added = np.unique(chain.states[np.ix_(ad, visit)])
    counts = chain.moves[0]
    states = counts.shape[1] - 2
    dice = np.random.default_rng(0)
    total = counts.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, counts / np.maximum(total, 1), 0.0)
    shares[total[:, 0] == 0, -1] = 1.0
    cut = shares.copy()
    if change.kind == "remove":
        cut[:, moves.at("basket")] = 0.0
        cut /= np.maximum(cut.sum(axis=1, keepdims=True), 1e-12)
    else:  # every fifth contact at the ad goes to the visit, whatever it did before
        common = counts.sum(axis=0)[added] + 1e-9
        cut[1 + ad] *= 0.8
        cut[1 + ad[:, None], added] += 0.2 * common / common.sum()
    onward = cut.copy()  # the other reading: of those who go on only, and as many leave as did
    onward[:, :-1] *= (1 - shares[:, -1:]) / np.maximum(1 - cut[:, -1:], 1e-12)
    onward[:, -1] = 1 - onward[:, :-1].sum(axis=1)
    walkers, converted = 100_000, []
    for ways in (cut.cumsum(axis=1), onward.cumsum(axis=1)):
        here, goals = np.zeros(walkers, dtype=int), 0
        while len(here):
            drawn = dice.random(len(here))[:, None] * ways[here][:, -1:]
            column = (ways[here] < drawn).sum(axis=1)
            goals += int((column == states).sum())
            here = 1 + column[column < states]
        converted.append(goals)
    found = estimate_what_if(workspace, [change])
    assert ("fewer" if found.conversions["gain"] < 0 else "more") in found.sentence
    told = found.conversions
    expected = np.array(converted) / walkers * found.journeys
    # four standard errors of the walk
    error = 4 * found.journeys * 0.5 / walkers**0.5
    assert told["after"] == pytest.approx(expected.mean(), abs=error)
    gained = expected - told["before"]
    assert told["low"] < gained.min() < gained.max() < told["high"]


def four(*, amount=None):
    """Forty customers: half are lost at the basket after a page, the others pay after a day."""
    log = []
    for n in range(40):
        log += [contact(f"c{n:02}", n, "page"), contact(f"c{n:02}", n + 2, "basket")]
        if n % 2:
            log.append(contact(f"c{n:02}", n + 3, "pay"))
    return log


def test_arithmetic_by_hand(tmp_path):
    rule = journey_map(until=START + timedelta(days=120))
    workspace = make_workspace(tmp_path / "ws", four(), rule=rule)
    mended = estimate_what_if(
        workspace, [Change(kind="mend", source="page", target="basket", rate=0.25)]
    )
    assert (mended.journeys, mended.value) == (40, None)
    assert mended.conversions["before"] == pytest.approx(20)
    assert mended.conversions["after"] == pytest.approx(30)
    assert mended.time["before"] == pytest.approx(72)
    assert mended.time["gain"] == pytest.approx(0)
    halved = estimate_what_if(
        workspace, [Change(kind="halve_wait", source="page", target="basket")]
    )
    assert halved.time["gain"] == pytest.approx(-24)
    assert halved.conversions["gain"] == pytest.approx(0)
    before = Change(kind="mend", source="page", target="basket", signal="broken_handoff", rate=0.0)
    assert estimate_what_if(workspace, [before]).conversions["gain"] == pytest.approx(0)
    gone = estimate_what_if(workspace, [Change(kind="remove", source="basket")])
    assert gone.conversions["after"] == pytest.approx(0)
    # a rate above what is observed mends nothing
    worse = Change(kind="mend", source="page", target="basket", rate=0.9)
    assert estimate_what_if(workspace, [worse]).conversions["gain"] == pytest.approx(0)


def test_traffic_moves_to_touchpoints_and_channels(small):
    _, workspace = small
    for source, target in (("ad", "page"), ("web", "store")):
        one, two = (
            estimate_what_if(
                workspace, [Change(kind="move_traffic", source=source, target=target, rate=rate)]
            ).conversions["gain"]
            for rate in (0.0, 0.2)
        )
        assert one == pytest.approx(0)
        assert two != pytest.approx(0)


def test_others_convert_where_traffic_moves_even_if_as_many_do(tmp_path):
    """By the coin: of those moved some would have converted, and others do now."""
    rows, *_ = walk(world(2), 2_500, 2, fault=0.0)
    rule = journey_map(lost=(), until=START + timedelta(days=270))
    workspace = make_workspace(tmp_path / "ws", as_log(rows), rule=rule)
    change = Change(kind="move_traffic", source="page", target="visit", rate=0.3)
    gain = estimate_what_if(workspace, [change]).conversions
    moves = read_moves(workspace)
    came = moves.table.filter(place=int(moves.at("page")[0]))["n"].sum()
    # of those moved at least a tenth come to the goal in either world, independently
    assert gain["high"] - gain["low"] > 2 * 1.96 * (2 * 0.1 * 0.3 * came) ** 0.5


def test_what_cannot_be_asked_says_why(small, tmp_path):
    log, workspace = small
    with pytest.raises(InputError, match="name a change"):
        estimate_what_if(workspace, [])
    with pytest.raises(UnknownNameError, match="baskt"):
        estimate_what_if(workspace, [Change(kind="remove", source="baskt")])
    with pytest.raises(UnknownNameError, match="faxes"):
        estimate_what_if(
            workspace, [Change(kind="move_traffic", source="web", target="faxes", rate=0.1)]
        )
    with pytest.raises(InputError, match="does not occur before a goal"):
        estimate_what_if(workspace, [Change(kind="mend", source="pay", target="ad", rate=0.0)])
    with pytest.raises(InputError, match="cannot be mended by moving"):
        mend_to_expected(workspace, "ad", "page", signal="delay")
    without = make_workspace(tmp_path / "ws", log, rule=journey_map(goal=()))
    with pytest.raises(NotMeasurableError, match="names no goal"):
        estimate_what_if(without, [Change(kind="remove", source="ad")])


def test_without_a_finding_a_handoff_is_held_against_the_other_arrivals(small):
    _, workspace = small
    change = mend_to_expected(workspace, "ad", "page")
    moves = read_moves(workspace)
    others = moves.table.filter(
        pl.col("place").is_in(moves.at("page").tolist()),
        ~pl.col("before").is_in(moves.at("ad").tolist()),
    )
    ended = others.filter(pl.col("next") == -2)["n"].sum() / others["n"].sum()
    assert change.rate == pytest.approx(ended)
    assert change.error > 0


def test_a_handoff_to_the_goal_itself_is_mended_and_its_wait_halved(tmp_path):
    rule = journey_map(until=START + timedelta(days=120))
    workspace = make_workspace(tmp_path / "ws", four(), rule=rule)
    halved = estimate_what_if(workspace, [Change(kind="halve_wait", source="basket", target="pay")])
    assert halved.time["gain"] == pytest.approx(-12)
    change = Change(kind="mend", source="basket", target="pay", signal="broken_handoff", rate=0.25)
    mended = estimate_what_if(workspace, [change]).conversions
    assert mended["after"] == pytest.approx(30)
    assert mended["low"] <= 10 <= mended["high"]
    with pytest.raises(InputError, match="does not occur"):
        estimate_what_if(workspace, [Change(kind="halve_wait", source="page", target="pay")])


def waiting(seed, *, halve=False, drives):
    """Contacts of customers whose wait between page and basket drives some of them away."""
    dice = np.random.default_rng(seed)
    log, paid = [], 0
    drawn = dice.normal(size=2_000), dice.random((2_000, 2)), dice.uniform(0, 150, 2_000)
    for n, (length, (patience, chance), day) in enumerate(zip(*drawn, strict=True)):
        wait = 2 * np.exp(0.8 * length) / (2 if halve else 1)
        log.append(contact(f"c{n:04}", round(day, 4), "page"))
        if drives == "before it ends" and wait > -6 * np.log(patience):
            continue
        log.append(contact(f"c{n:04}", round(day + wait, 4), "basket"))
        stays = 0.7 - (0.12 * np.log2(wait) if drives == "after it" else 0.0)
        if chance < stays:
            log.append(contact(f"c{n:04}", round(day + wait + 0.1, 4), "pay"))
            paid += 1
    return log, paid


@pytest.mark.parametrize("drives", ["before it ends", "after it", "nothing"])
def test_a_wait_that_drives_customers_away_gains_what_a_world_with_half_of_it_has(tmp_path, drives):
    log, paid = waiting(3, drives=drives)
    gained = waiting(3, halve=True, drives=drives)[1] - paid
    rule = journey_map(lost=(), until=START + timedelta(days=250))
    workspace = make_workspace(tmp_path / "ws", log, rule=rule)
    change = Change(kind="halve_wait", source="page", target="basket")
    found = estimate_what_if(workspace, [change]).conversions
    assert found["low"] <= gained <= found["high"]
    # where nobody leaves at the source, only those who come say what waiting does
    if drives == "after it":
        assert found["low"] > 0
    if drives == "nothing":
        assert gained == 0
        assert found["high"] < 0.1 * paid
