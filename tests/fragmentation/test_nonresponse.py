"""Weights for who answers: against plain loops, and on logs in which only some answer."""

from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from fragmentation.test_arrivals import SILENCE, UNTIL, next_of, throw_log, walk, why_aside
from fragmentation.test_arrivals import count as count_thrown
from fragmentation.walks import STAGE, count, walk_log

from cxlib.arrivals.arrivals import KEYS
from cxlib.arrivals.repeats import AFTER
from cxlib.fragmentation import measure_fragmentation
from cxlib.fragmentation.stability import (
    MOST_WEIGHT,
    ask_everybody,
    estimate_chances,
    judge_weighted,
)
from cxlib.grounds.strata import with_strata

LEFT, TURNED, ON, OPEN = range(len(AFTER))
MANY = 12_000


# ---- what is counted -----------------------------------------------------------------------------


def after_by_loops(rows):
    """Per handoff and what came after: arrivals, and their ratings."""
    found = defaultdict(list)
    stage = {0: 0, 1: 1, 2: 1, 3: 0}
    for mine in walk(rows)[0]:
        turns = defaultdict(int)
        for i, here in enumerate(mine):
            if here["source"] is None:
                continue
            handoff, at = (here["source"], here["place"]), here["occurred_at"]
            why = why_aside(here, turns[handoff])
            turns[handoff] += why is None
            if why is not None:
                continue
            # place 3 writes to the customer: no contact of theirs
            own = next((c["occurred_at"] - at for c in mine[i + 1 :] if c["place"] != 3), None)
            if own is not None and own <= SILENCE:
                following = next_of(mine, i)
                turned = following is not None and (
                    stage[following["place"]] < stage[here["place"]]
                    or following["place"] == here["source"]
                )
                after = TURNED if turned else ON
            else:
                after = LEFT if UNTIL - at >= SILENCE else OPEN
            found[(*handoff, after)].append(here["rating"])
    return found


@pytest.mark.parametrize("seed", range(6))
def test_every_arrival_is_counted_by_what_came_after(seed):
    rows = throw_log(seed)
    table = count_thrown(rows).responses
    keys = ["source", "target", "after"]
    sums = table.group_by(keys).agg(pl.col("n", "rating_n", "rating_sum", "rating_sq").sum())
    ours = {row[:3]: row[3:] for row in sums.iter_rows()}
    theirs = {}
    for key, ratings in after_by_loops(rows).items():
        given = [r for r in ratings if r is not None]
        theirs[key] = (len(ratings), len(given), sum(given), sum(r * r for r in given))
    assert ours == theirs
    assert {key[2] for key in ours} == {LEFT, TURNED, ON, OPEN}


def test_a_log_without_ratings_counts_nobody():
    assert count(walk_log(1, customers=300), ratings=False).responses.is_empty()


# ---- the estimate --------------------------------------------------------------------------------


def rows_of(*cells, by=0.0, error=0.0):
    """Rows of responses: source, target, after, arrivals, their ratings."""
    base = dict.fromkeys(KEYS["responses"], 0)
    return pl.DataFrame(
        [
            base
            | {"source": source, "target": target, "after": after, "n": n}
            | {"rating_n": len(given), "rating_sum": float(sum(given))}
            | {"rating_sq": float(sum(g * g for g in given))}
            | {"by_rating": by, "error_rating": error}
            for source, target, after, n, given in cells
        ]
    )


def test_the_weighted_mean_and_its_variance_equal_plain_loops():
    dice = np.random.default_rng(5)
    cells = [
        (s, 9, after, int(n), list(dice.integers(0, 11, k).astype(float)))
        for s in (1, 2, 3)
        for after, n, k in zip(range(4), dice.integers(30, 90, 4), (0, 4, 25, 9), strict=True)
    ]
    rows = rows_of(*cells)
    chance = dice.uniform(0.02, 1.0, len(cells))
    found = {row["source"]: row for row in ask_everybody(rows, chance).to_dicts()}
    shift = after_effects(cells)
    for source in (1, 2, 3):
        mine = [(c, p) for c, p in zip(cells, chance, strict=True) if c[0] == source]
        arrived = sum(c[3] for c, _ in mine)
        usual = sum(len(c[4]) for c, _ in mine) / arrived
        answers = [
            (min(usual / p, MOST_WEIGHT), rating - shift[c[2]]) for c, p in mine for rating in c[4]
        ]
        whole = sum(w for w, _ in answers)
        mean = sum(w * y for w, y in answers) / whole
        kish = whole**2 / sum(w * w for w, _ in answers)
        spread = sum(w * (y - mean) ** 2 for w, y in answers) / whole
        everybody = mean + sum(c[3] * shift[c[2]] for c, _ in mine) / arrived
        row = found[source]
        assert row["n"] == pytest.approx(kish)
        assert row["total"] / row["n"] == pytest.approx(everybody)
        assert row["square"] / row["n"] == pytest.approx(spread)
        assert row["rating_n"] == len(answers)


def after_effects(cells):
    """What came after changes in a rating within handoffs to one touchpoint, drawn in twice."""
    ratings = [(c[0], c[2], r) for c in cells for r in c[4]]
    overall, at = dict.fromkeys(range(4), 0.0), dict.fromkeys(range(4), 0.0)
    for _ in range(20):
        own = {
            s: np.mean([r - overall[a] - at[a] for source, a, r in ratings if source == s])
            for s in {c[0] for c in cells}
        }
        for mine, other in ((overall, at), (at, overall)):
            for a in mine:
                left = [r - own[s] - other[a] for s, after, r in ratings if after == a]
                mine[a] = sum(left) / (len(left) + 20)
    return {a: overall[a] + at[a] for a in range(4)}


def test_chances_are_drawn_from_general_to_particular():
    rows = rows_of((1, 9, LEFT, 50, [5.0]), (1, 9, ON, 50, [6.0] * 20), (2, 9, ON, 100, [7.0] * 30))
    chance = np.full(3, 51 / 200)
    n, rated = np.array([50, 50, 100]), np.array([1, 20, 30])
    everyone, by_after = [[0, 1, 2]], [[0], [1, 2]]
    by_handoff, each = [[0, 1], [2]], [[0], [1], [2]]
    strata = everyone * 4
    for level in (everyone, by_after, by_after, *([s] for s in strata), by_handoff, each):
        before = chance.copy()
        for group in level:
            answers, expected = rated[group].sum(), (n * before)[group].sum()
            chance[group] = before[group] * (answers + 2) / (expected + 2)
    assert estimate_chances(rows) == pytest.approx(chance)


def test_the_variance_is_what_repeated_surveys_show():
    """Kish's variance, against 400 surveys of the same arrivals."""
    dice = np.random.default_rng(2)
    arrivals = {LEFT: 200, TURNED: 150, ON: 350}
    chances = {LEFT: 0.08, TURNED: 0.5, ON: 0.25}
    means, said = [], []
    for _ in range(400):
        cells = []
        for source in (1, 2):
            for after, n in arrivals.items():
                ratings = 7 - 2 * (after == TURNED) + dice.normal(0, 1.5, n)
                cells.append((source, 9, after, n, list(ratings[dice.random(n) < chances[after]])))
        rows = rows_of(*cells)
        row = ask_everybody(rows, estimate_chances(rows)).row(0, named=True)
        means.append(row["total"] / row["n"])
        said.append(row["square"] / row["n"] / row["n"])
    truth = 7 - 2 * 150 / 700
    assert np.mean(means) == pytest.approx(
        truth, abs=0.08
    )  # six standard errors and some shrinkage
    # weights that were estimated are a little better than weights that were known
    assert 0.6 < np.var(means) / np.mean(said) < 1.15


def test_extremes_of_answering_give_no_extreme_weights():
    everybody = rows_of((1, 9, LEFT, 5, [3.0] * 5), (1, 9, ON, 40, [7.0] * 40))
    assert (estimate_chances(everybody) > 0.9).all()
    row = ask_everybody(everybody, estimate_chances(everybody)).row(0, named=True)
    assert row["n"] == pytest.approx(45, rel=0.01)
    assert row["total"] / row["n"] == pytest.approx((15 + 280) / 45, abs=0.05)

    one = rows_of((1, 9, LEFT, 500, [2.0]), (1, 9, ON, 500, []), (2, 9, ON, 100, [8.0] * 50))
    chance = estimate_chances(one)
    assert ((chance > 0) & (chance <= 1)).all()
    row = ask_everybody(one, chance).row(0, named=True)
    assert (row["rating_n"], row["n"]) == (1, pytest.approx(1))
    assert 2.0 <= row["total"] <= 8.0

    nobody = rows_of((1, 9, LEFT, 500, []), (2, 9, ON, 100, [8.0] * 50))
    row = ask_everybody(nobody, estimate_chances(nobody)).row(0, named=True)
    assert row["rating_n"] == 0
    assert np.isfinite([row["total"], row["square"], row["error"]]).all()


def test_no_rating_weighs_more_than_ten_times_the_usual():
    rows = rows_of((1, 9, LEFT, 10_000, [2.0]), (1, 9, ON, 100, [7.0] * 60))
    chance = np.array([1e-6, 0.6])
    row = ask_everybody(rows, chance).row(0, named=True)
    usual = 61 / 10_100
    weights = np.array([MOST_WEIGHT] + [usual / 0.6] * 60)
    assert row["n"] == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


# ---- findings ------------------------------------------------------------------------------------


def answered(table, chance, *, handoff, mood=2.0):
    """Let everybody rate by how it went on, and `chance` (after, at the handoff) say who answers.

    Those who turn back rate `mood` points lower wherever they are: that is no handoff's fault.
    """
    table = table[np.lexsort((table[:, 1], table[:, 0]))].copy()
    who, place = table[:, 0], table[:, 2].astype(int)
    last = np.append(who[1:] != who[:-1], True)
    following = np.where(last, -1, np.append(place[1:], -1))
    before = np.where(np.append(True, last[:-1]), -1, np.append(-1, place[:-1]))
    turned = ~last & ((STAGE[following] < STAGE[place]) | (following == before))
    after = np.where(last, LEFT, np.where(turned, TURNED, ON))
    table[turned, 3] -= mood
    here = (before == handoff[0]) & (place == handoff[1])
    silent = np.random.default_rng(0).random(len(table)) > chance(after, here)
    table[silent, 3] = np.nan
    return table


def dip_of(findings, handoff):
    source, target = (f"t{place}" for place in handoff)
    here = (pl.col("source") == source) & (pl.col("target") == target)
    rows = findings.table.filter(here, pl.col("signal") == "perception_dip")
    return rows.row(0, named=True)


@pytest.mark.parametrize(
    ("handoff", "others"),
    [((1, 4), 0.0)],
    ids=["others never answer: what came after elsewhere"],
)
def test_a_dip_that_is_only_who_answers_is_not_confirmed(handoff, others):
    def chance(after, here):
        return np.where(here, np.where(after == TURNED, 0.9, others), 0.4)

    log = walk_log(7, customers=MANY, rated=1.0)
    told = count(answered(log, chance, handoff=handoff))
    # all grounds are tested together: what only fools the plain mean needs a looser limit
    dip = dip_of(measure_fragmentation(told, q_limit=0.05), handoff)
    assert dip["finding"], "the plain mean must be fooled, or nothing is shown"
    assert dip["effect"] < -0.8
    assert dip["stable"] is False
    assert "who answers could explain it: unstable" in dip["sentence"]
    assert abs(dip["weighted"]) < 0.3
    assert dip["weighted_low"] < 0 < dip["weighted_high"]


def test_a_real_dip_is_kept_where_answering_depends_on_what_came_after():
    def chance(after, here):
        return np.choose(after, [0.1, 0.6, 0.3])

    log = walk_log(7, fault=("perception_dip", 1, 4), rated=1.0)
    table = answered(log, chance, handoff=(1, 4))
    found = measure_fragmentation(count(table))
    dip = dip_of(found, (1, 4))
    assert (dip["finding"], dip["stable"]) == (True, True)
    assert dip["weighted_low"] <= -2.5 <= dip["weighted_high"]
    contacts = pl.DataFrame(table, schema=["customer", "at", "place", "rating"], orient="row")
    came = contacts.with_columns(before=pl.col("place").shift(1).over("customer")).filter(
        pl.col("place") == 4, pl.col("before") == 1
    )
    assert dip["response"] == pytest.approx(came["rating"].is_not_nan().mean(), abs=0.01)
    assert f"({100 * dip['response']:.0f} % answered)" in dip["sentence"]


def test_independent_answers_leave_a_dip_as_it_is():
    found = measure_fragmentation(count(walk_log(7, fault=("perception_dip", 1, 4))))
    dip = dip_of(found, (1, 4))
    assert dip["stable"] is True
    assert dip["weighted"] == pytest.approx(dip["effect"], abs=0.15)
    assert dip["weighted_high"] - dip["weighted_low"] < 1.2 * (dip["high"] - dip["low"])
    others = found.table.filter(pl.col("signal") != "perception_dip")
    assert others["response"].is_null().all()


def test_a_log_that_nobody_rated_has_nothing_to_weigh():
    part = with_strata(count(walk_log(1, customers=400), ratings=False))
    assert judge_weighted(part).is_empty()
