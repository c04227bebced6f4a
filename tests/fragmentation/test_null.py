"""What keeps natural variety from passing for a fault: each guard has a case that only it stops."""

from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from fragmentation.walks import count, walk_log

from cxlib.fragmentation import measure_fragmentation
from cxlib.fragmentation.echoes import choose_findings
from cxlib.fragmentation.findings import _large_enough
from cxlib.grounds.cases import LOG_MIDDLE, _more_frequent_kind
from cxlib.grounds.cells import BY_DESIGN
from cxlib.grounds.expectation import tail_scale
from cxlib.grounds.like import _where_it_counts, compare_siblings
from cxlib.grounds.past import Noise, Series, clearest
from cxlib.signals import SIGNALS
from cxlib.signals.volume import _fall, _usual, series_of


def cells(*rows):
    names = ("source", "target", "n", "observed", "expected", "effect", "low", "high", "z", "p")
    frame = pl.DataFrame(rows, schema=names, orient="row")
    return frame.with_columns(touched=pl.col("low").clip(0.0))


ALONE = (0, 1, 500.0, 0.4, 0.1, 0.3, 0.22, 0.38, 7.0, 1e-9)
TWIN = (5, 1, 400.0, 0.35, 0.1, 0.25, 0.16, 0.34, 5.0, 1e-6)
ELSEWHERE = (7, 8, 400.0, 0.35, 0.1, 0.25, 0.16, 0.34, 5.0, 1e-6)


def test_what_a_sibling_shows_as_well_is_expected():
    both = compare_siblings(cells(ALONE, TWIN), SIGNALS["abandonment"])
    first, second = both.rows(named=True)
    # of the clearer one remains what lies above the lower end of the other
    assert first["effect"] == pytest.approx(0.3 - 0.16)
    assert first["expected"] == pytest.approx(0.26)
    assert first["z"] == pytest.approx(7.0 * (1 - 0.16 / 0.3))
    assert second["effect"] == pytest.approx(0.25 - 0.22)
    apart = cells(ALONE, ELSEWHERE)
    left = compare_siblings(apart, SIGNALS["abandonment"])
    assert left.drop("p").equals(apart.drop("p"))


def test_what_most_others_at_the_target_do_is_expected():
    """The model lets expect 0.07 there; of four in five who come another way 0.40 do it."""
    here = (0, 1, 1_600.0, 0.44, 0.07, 0.37, 0.3, 0.44, 9.0, 1e-12)
    others = (5, 1, 7_000.0, 0.40, 0.3, 0.1, 0.0, 0.2, 2.0, 0.02)
    contact = SIGNALS["repeat_contact"]
    found = compare_siblings(cells(here, others), contact).row(0, named=True)
    assert found["expected"] == pytest.approx(0.40)
    assert found["effect"] == pytest.approx(0.04)
    assert found["z"] == pytest.approx(9.0 * 0.04 / 0.37)
    # half of the excess is left: it stands; a few others say nothing; plans have their own sources
    for row, signal in (
        ((5, 1, 7_000.0, 0.20, 0.2, 0.0, -0.1, 0.1, 0.0, 0.5), contact),
        ((5, 1, 900.0, 0.40, 0.3, 0.1, 0.0, 0.2, 2.0, 0.02), contact),
        (others, SIGNALS["ping_pong"]),
    ):
        assert compare_siblings(cells(here, row), signal)["z"][0] == 9.0


def test_going_back_from_where_nearly_all_come_one_way_is_how_the_target_is():
    ways = pl.DataFrame({"source": [0, 2, 3], "target": [1, 1, 1], "n": [800, 150, 50]})
    own = pl.DataFrame({"initiated_by": ["customer"] * 4, "stage_index": [1] * 4})
    own = own.with_columns(is_goal=pl.lit(value=False), is_lost=pl.lit(value=False))
    part = SimpleNamespace(places=own, arrivals=ways, cache={})
    both = cells((0, 1, 800.0, 0.3, 0.1, 0.2, 0.1, 0.3, 6.0, 1e-8), (2, 1, *ALONE[2:]))
    kept = _where_it_counts(part, both, SIGNALS["backtracking"])
    assert kept["source"].to_list() == [2]
    assert len(_where_it_counts(part, both, SIGNALS["abandonment"])) == 2


def test_the_harmless_side_says_how_wide_the_other_is():
    rng = np.random.default_rng(1)
    normal = rng.normal(size=2_000)
    assert tail_scale(normal) == pytest.approx(1.0, abs=0.1)
    heavy = rng.standard_t(2, size=2_000)
    assert tail_scale(heavy) > 1.5
    # faults on the other side change nothing
    assert tail_scale(np.append(normal, np.full(100, 9.0))) < 1.15
    assert tail_scale(heavy[:20]) == 1.0


def kinds(*waits, spread=0.7):
    """Waits about so many seconds, each of so many cases, as binned counts."""
    rng = np.random.default_rng(2)
    values = np.concatenate([np.log(at) + rng.normal(0, spread, n) for at, n in waits])
    edges = np.append(-np.inf, (LOG_MIDDLE[1:] + LOG_MIDDLE[:-1]) / 2)
    return np.bincount(np.searchsorted(edges, values) - 1, minlength=len(LOG_MIDDLE))[None, :] * 1.0


def test_two_kinds_of_waits_are_told_apart_and_one_kind_is_left_whole():
    one = kinds((3_600, 900))
    assert _more_frequent_kind(one, one / 2).all()
    two = kinds((60, 300), (200_000, 600))
    kept = (np.where(_more_frequent_kind(two, two / 2), two, 0)).sum()
    assert kept == pytest.approx(600, abs=5)
    first, then = kinds((60, 300)), kinds((200_000, 600))
    assert _more_frequent_kind(first + then, first).all(), "one kind that has changed"
    sharp = kinds((36_000, 300), spread=0.05) + kinds((72_000, 600), spread=0.05)
    assert _more_frequent_kind(sharp, sharp / 2).all(), "twice as long is no other kind"


def test_a_share_of_waits_that_moves_to_another_kind_is_no_delay():
    """Region 1 comes back in the next session more often; within a kind it waits as others do."""
    same = [kinds((60, 500), (200_000, 400)), kinds((60, 300), (200_000, 600))]
    middles = []
    for waits in same:
        late = np.log(3_600) < LOG_MIDDLE
        middles.append((waits[0] * LOG_MIDDLE)[late].sum() / waits[0][late].sum())
    assert abs(middles[0] - middles[1]) < 0.1  # as long within the kind
    pooled = same[0] + same[1]
    keep = _more_frequent_kind(pooled, pooled / 2)[0]
    means = [(w[0] * LOG_MIDDLE)[keep].sum() / w[0][keep].sum() for w in same]
    assert abs(means[0] - means[1]) < 0.1
    crude = [(w[0] * LOG_MIDDLE).sum() / w[0].sum() for w in same]
    assert abs(crude[0] - crude[1]) > 1.0


@pytest.mark.parametrize(("left", "found"), [(0.0, True), (0.2, True), (0.5, True), (0.9, False)])
def test_a_touchpoint_that_loses_its_records_is_found_with_its_date(left, found):
    rng = np.random.default_rng(4)
    rate = np.where(np.arange(60) < 40, 80.0, 80.0 * left)
    own, others = rng.poisson(rate).astype(float), rng.poisson(2_000, 60).astype(float)
    start, end, expected, seen, _, p = _fall_of(own, others)
    assert (p < 1e-3) == found
    if found:
        assert (start, end) == (40, 60)
        assert seen / expected == pytest.approx(left, abs=0.06)


def _fall_of(own, others):
    linked = np.array([own, others])
    usual = _usual(0, 0 * linked, linked)
    changes = clearest(series_of(np.array([0]), usual[None], linked), Noise(np.ones(1), 0.1, 41))
    return _fall(usual, own, [column[0] for column in changes])


def test_a_touchpoint_that_fades_away_or_swings_by_itself_was_not_switched_off():
    rng = np.random.default_rng(5)
    others = rng.poisson(2_000, 60).astype(float)
    none = np.zeros((2, 60))
    assert _usual(0, np.array([np.arange(60) < 20, none[0]]) * 50.0, none) is None
    fading = rng.poisson(np.linspace(120, 30, 60)).astype(float)
    swinging = rng.poisson(np.where(np.arange(60) // 10 % 2 == 0, 80.0, 40.0)).astype(float)
    for own in (fading, swinging):
        assert _fall_of(own, others)[-1] > 0.01


def test_what_the_company_sends_in_between_sends_nobody_back():
    """The same walk: as the customers' own step it is judged, as a mailing it is not."""
    log = walk_log(5, fault=("backtracking", 1, 4), customers=5_000)
    ours = ["company" if i == 4 else "customer" for i in range(12)]
    judged = [
        measure_fragmentation(count(log, marks=marks), grounds=["like"], signals=["backtracking"])
        for marks in ({}, {"initiated_by": ours})
    ]
    at = [f.table.filter(pl.col("target") == "t4") for f in judged]
    assert at[0].filter("finding")["source"].to_list() == ["t1"]
    assert at[1].is_empty()


def test_by_design_is_below_what_is_planted():
    assert SIGNALS["ping_pong"].fault.size < BY_DESIGN


def test_a_unit_that_drifts_is_no_change_at_one_date():
    """The same difference between two halves: at once, or spread over the whole time."""
    rng = np.random.default_rng(6)
    n = np.full(60, 400.0)
    sizes = {"step": np.repeat([-0.2, 0.2], 30), "drift": np.linspace(-0.4, 0.4, 60)}
    found = {
        name: clearest(_waits_of(n, size + rng.normal(0, 0.05, 60)), Noise(np.ones(1), 0.07, 82))
        for name, size in sizes.items()
    }
    assert found["step"].start == 30
    assert found["step"].p < 1e-3 < found["drift"].p


def _waits_of(n, mean):
    """A series whose blocks hold `n` waits with these means of their logarithms."""
    before, nobody = n.cumsum(), np.array([None])
    pairs = before * (before[-1] - before) / before[-1]
    blocks = (n * (mean - mean.mean()), n, pairs, n, n * mean)
    return Series(np.zeros(1), nobody, nobody, *(x[None] for x in blocks), np.ones(1), np.ones(1))


def test_going_back_of_a_group_is_a_liking_unless_hardly_anybody_else_does():
    cases = {(0.069, 0.004): True, (0.365, 0.30): False, (0.42, 0.30): True, (0.052, 0.010): False}
    table = pl.DataFrame(list(cases), schema=("observed", "expected"), orient="row").with_columns(
        effect=pl.col("observed") - pl.col("expected"), family=pl.lit("share"), least=0.05,
        ground=pl.lit("groups"), sends_back=True, affected=50.0,
    )  # fmt: skip
    ratings = pl.DataFrame({"rating_n": [0], "rating_sum": [0.0], "rating_sq": [0.0]})
    part = SimpleNamespace(arrivals=ratings, settings=SimpleNamespace(customers=5_000))
    assert table.select(_large_enough(part)).to_series().to_list() == list(cases.values())
    elsewhere = table.with_columns(sends_back=False)
    assert elsewhere.select(_large_enough(part)).to_series().all()


def test_a_change_that_wears_off_a_little_goes_on():
    """So far out a normal law finds that the stretch is likelier by a factor of ten thousand."""
    n, noise = np.full(60, 30.0), Noise(np.ones(1), 0.15, 40)
    spans = {}
    for left in (0.42, 0.0):
        mean = np.repeat([0.0, 1.2, 1.2 * left], [30, 24, 6])
        found = clearest(_waits_of(n, mean), noise)
        spans[left] = (int(found.start[0]), int(found.end[0]))
    assert spans == {0.42: (30, 60), 0.0: (30, 54)}


def test_missing_records_and_what_follows_from_them_are_one_finding():
    day = date(2025, 3, 3)

    def row(number, signal, z, n, effect, **at):
        base = {"row": number, "signal": signal, "ground": "past", "unit": "place", "z": z, "n": n}
        base |= {"effect": effect, "affected": n * effect, "since": day, "group": None}
        return base | {"value": None, "target": None, "source_place": 0, "target_place": -1} | at

    moves = {"ground": "like", "unit": "transition", "source": "bill", "target": "pay"}
    way = row(0, "abandonment", 0.0, 900, 0.0, **moves) | {"significant": False}
    seen = [
        row(1, "volume", 9.0, 1_000, 0.8, source="pay"),
        row(2, "abandonment", 6.0, 900, 0.3, source="bill", since=day + timedelta(days=7)),
        row(3, "abandonment", 5.0, 900, 0.3, source="elsewhere"),
    ]
    rows = [way, *(r | {"significant": True} for r in seen)]
    chosen = choose_findings(pl.DataFrame(rows, infer_schema_length=None))
    assert chosen.filter("finding")["row"].to_list() == [1, 3]
    # who left before pay is missed there, too: then it is they who are found
    rows[2] |= {"effect": 0.9}
    chosen = choose_findings(pl.DataFrame(rows, infer_schema_length=None))
    assert chosen.filter("finding")["row"].to_list() == [2, 3]


def test_a_wait_that_a_rule_keeps_steady_is_held_against_itself():
    """Others change by a factor of two; this one did only once, or did so always."""
    rng = np.random.default_rng(7)
    n, step = np.full(64, 60.0), np.repeat([0.0, -1.0], [48, 16])
    wander = np.repeat(rng.normal(0, 0.8, 8), 8)
    noise = Noise(np.ones(1), 0.7, 20)
    steady, unsteady = (
        clearest(_waits_of(n, mean + rng.normal(0, 0.1, 64)), noise._replace(least=0.07))
        for mean in (step, wander)
    )
    assert (steady.start, steady.usual < 0.25) == (48, True)
    assert steady.p < 1e-3 < unsteady.p
    # a share has no such rule: what others change, it could have changed
    assert clearest(_waits_of(n, step), noise).p > 0.05
