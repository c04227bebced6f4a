"""The additive model against plain dense algebra, bisection, and refits without a cell."""

import numpy as np
import pytest
from scipy.special import chdtri
from scipy.stats import betabinom

from cxlib.grounds.additive import AdditiveModel, Block, Cells, add_up
from cxlib.grounds.cells import Grid, share_frame
from cxlib.grounds.comparing import tail_of_counts
from cxlib.grounds.expectation import Expectation, drawn_spread, natural_spread
from cxlib.grounds.judged import Z95, natural_p
from cxlib.grounds.strata import fit_strata


def draw_cells(seed, family, rows_each=3):
    """Six sources × seven targets; one target that nearly everyone reaches from one source."""
    rng = np.random.default_rng(seed)
    source, target = np.divmod(np.arange(42), 7)
    cell = np.repeat(np.arange(42), rows_each)
    n = rng.integers(5, 200, len(cell)).astype(float)
    n[(target[cell] == 3) & (source[cell] == 2)] = 5_000.0
    offset = rng.normal(0, 0.3, len(cell))
    effect = rng.normal(0, 0.5, 6)[source] + rng.normal(0, 0.5, 7)[target]
    line = offset + effect[cell]
    if family == "share":
        total = rng.binomial(n.astype(int), 1 / (1 + np.exp(-line))).astype(float)
        variance = np.ones(42)
    else:
        total = n * line + rng.normal(0, np.sqrt(n))
        variance = rng.uniform(0.5, 2, 42)
    blocks = [Block(target), Block(source, 0.1, fixed=False)]
    return Cells(cell, n, total, offset, variance), blocks


def fit_densely(cells, blocks, family, weight):
    """Newton steps on the whole design, a column per effect, until nothing moves."""
    columns, penalty = [np.ones(len(weight))], [1e-6]
    for block in blocks:
        for level in np.unique(block.levels):
            columns.append((block.levels == level).astype(float))
            penalty.append(1 / block.variance)
    design = np.column_stack(columns)
    rows, penalty = design[cells.cell], np.array(penalty)
    beta = np.zeros(design.shape[1])
    for _ in range(60):
        line = cells.offset + rows @ beta
        if family == "share":
            mean = 1 / (1 + np.exp(-line))
            info, score = cells.n * mean * (1 - mean), cells.total - cells.n * mean
        else:
            info = cells.n / cells.variance[cells.cell]
            score = (cells.total - cells.n * line) / cells.variance[cells.cell]
        of_row = weight[cells.cell]
        information = rows.T @ (rows * (info * of_row)[:, None]) + np.diag(penalty)
        beta = beta + np.linalg.solve(information, rows.T @ (of_row * score) - penalty * beta)
    return beta, information, design


@pytest.mark.parametrize("family", ["share", "mean"])
@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_that_of_dense_algebra(family, seed):
    cells, blocks = draw_cells(seed, family)
    weight = np.random.default_rng(seed).uniform(0.2, 1, 42)
    model, prior = AdditiveModel(cells, blocks, family), np.array([b.variance for b in blocks])
    zero = np.zeros(len(model.owner))
    beta, _, covariance = model.solve(zero, model.look(zero), weight, prior)
    wanted, information, design = fit_densely(cells, blocks, family, weight)
    # the intercept is all but free, so that only what is said of cells is determined
    assert design @ beta == pytest.approx(design @ wanted, abs=1e-5)
    pull = (design @ np.linalg.inv(information) * design).sum(1)
    assert covariance.ravel()[model.pairs].sum(1) == pytest.approx(pull, rel=1e-3)


@pytest.mark.parametrize("family", ["share", "mean"])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_said_without_a_cell_is_a_refit_without_it(family, seed):
    cells, blocks = draw_cells(seed, family)
    weight = np.random.default_rng(seed).uniform(0.2, 1, 42)
    model, prior = AdditiveModel(cells, blocks, family), np.array([b.variance for b in blocks])
    zero = np.zeros(len(model.owner))
    beta = model.solve(zero, model.look(zero), weight, prior)[0]
    chosen = np.array([2 * 7 + 3, 0, 17, 41])
    expected, deviation, info, variance = model.without(chosen, beta, weight, prior)
    for at, cell in enumerate(chosen):
        others = np.where(np.arange(42) == cell, 0.0, weight)
        wanted, information, design = fit_densely(cells, blocks, family, others)
        mine = cells.cell == cell
        line = cells.offset[mine] + design[cell] @ wanted
        n = cells.n[mine]
        mean = 1 / (1 + np.exp(-line)) if family == "share" else line
        slope = mean * (1 - mean) if family == "share" else np.ones(len(n))
        known = (n * slope).sum() / cells.variance[cell]
        left = (cells.total[mine] - n * mean).sum() / (n * slope).sum()
        # the last step of a fit is below 0.001, so that what it leaves is about its square
        assert expected[at] == pytest.approx((n * mean).sum() / n.sum(), abs=1e-4)
        assert deviation[at] == pytest.approx(left, abs=1e-4)
        assert info[at] == pytest.approx(known, rel=1e-3)
        assert variance[at] == pytest.approx(
            design[cell] @ np.linalg.solve(information, design[cell]), rel=1e-2
        )


def test_many_cells_are_left_out_as_one_by_one(monkeypatch):
    cells, blocks = draw_cells(5, "share")
    model, prior = AdditiveModel(cells, blocks, "share"), np.array([b.variance for b in blocks])
    weight, zero = np.ones(42), np.zeros(len(model.owner))
    beta = model.solve(zero, model.look(zero), weight, prior)[0]
    together = model.without(np.arange(42), beta, weight, prior)
    monkeypatch.setattr("cxlib.grounds.additive._SIDE_BY_SIDE", 1)
    alone = model.without(np.arange(42), beta, weight, prior)
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-4, rel=1e-2)


def bisect_spread(deviation, variance):
    """The spread at which median and upper quartile are what they are under a normal law."""
    centred = (deviation - np.median(deviation)) ** 2
    found = 0.0
    for quantile in (0.5, 0.75):
        low, high = 0.0, 5.0
        for _ in range(40):
            middle = (low + high) / 2
            outside = centred > chdtri(1, 1 - quantile) * (variance + middle**2)
            wide = outside.sum() > (1 - quantile) * len(centred)
            low, high = (middle, high) if wide else (low, middle)
        found = max(found, low)
    return found


@pytest.mark.parametrize("size", [8, 9, 10, 11, 57, 400])
@pytest.mark.parametrize("spread", [0.0, 0.3, 50.0])
def test_natural_spread_is_what_bisection_finds(size, spread):
    rng = np.random.default_rng(size)
    variance = rng.uniform(0.001, 0.1, size)
    deviation = rng.normal(0, np.sqrt(variance + spread**2)) + 0.4
    assert natural_spread(deviation, variance) == pytest.approx(
        bisect_spread(deviation, variance), abs=1e-9
    )


def test_what_chance_blurs_tells_no_natural_spread():
    rng = np.random.default_rng(5)
    blurred, shown = [], []
    for _ in range(40):
        variance = np.full(12, 0.8)
        deviation = rng.normal(0, np.sqrt(variance + 0.15**2))
        blurred.append(drawn_spread(deviation, variance, default=0.15))
        shown.append(natural_spread(deviation, variance))
    assert np.quantile(shown, 0.75) > 0.4, "an estimate that is nothing but its error"
    assert np.quantile(blurred, 0.75) < 0.2
    clear = np.full(200, 0.01)
    deviation = rng.normal(0, np.sqrt(clear + 0.4**2))
    assert drawn_spread(deviation, clear, default=0.15) == pytest.approx(0.4, rel=0.1)


def test_the_chance_of_units_that_it_blurs_unlike_is_not_taken_for_nature():
    """Ten units that differ by 0.1 in logits, of standard errors from 0.1 to 2."""
    rng = np.random.default_rng(8)
    found, quantiles = [], []
    for _ in range(200):
        variance = np.exp(rng.uniform(np.log(0.1), np.log(2.0), 10)) ** 2
        deviation = rng.normal(0, np.sqrt(variance + 0.1**2))
        found.append(drawn_spread(deviation, variance, default=0.15))
        quantiles.append(natural_spread(deviation, variance))
    assert np.quantile(quantiles, 0.9) > 0.4, "what the bulk's quantiles take for nature"
    assert np.quantile(found, 0.9) < 0.2
    # more than the default is believed, and three broken units do not count
    variance = np.exp(rng.uniform(np.log(0.1), np.log(0.6), 60)) ** 2
    deviation = rng.normal(0, np.sqrt(variance + 0.5**2))
    assert drawn_spread(deviation, variance, default=0.15) == pytest.approx(0.45, abs=0.1)
    steady = rng.normal(0, np.sqrt(variance + 0.1**2))
    steady[:3] = 2.5
    assert drawn_spread(steady, variance, default=0.15) < 0.2


@pytest.mark.parametrize("natural", [0.1, 0.5, 1.0])
def test_p_values_hold_where_part_of_the_variance_is_estimated(natural):
    """Chance is known, the natural part comes from 41 units: the tail is as heavy as that makes."""
    rng = np.random.default_rng(2)
    size = 400_000
    estimate = natural * rng.chisquare(40, size) / 40
    z = rng.normal(size=size) / np.sqrt(1 - natural + estimate)
    p = natural_p(z, 41, estimate / (1 - natural + estimate))
    assert (p < 1e-3).mean() == pytest.approx(1e-3, abs=2e-4)  # four standard errors


@pytest.mark.parametrize("family", ["share", "mean"])
def test_strata_are_those_of_a_regression_with_an_effect_of_every_handoff(family):
    rng = np.random.default_rng(3)
    handoff, segment, period = (rng.integers(0, k, 300) for k in (9, 4, 3))
    n = rng.integers(3, 60, 300).astype(float)
    line = 0.4 * segment + rng.normal(0, 1, 9)[handoff] - 2
    total = n * line if family == "mean" else rng.binomial(n.astype(int), 1 / (1 + np.exp(-line)))
    options = {"target": handoff % 3, "n": n, "total": total.astype(float), "family": family}
    found, error = fit_strata([segment, period], [1.0, 2.0], handoff, **options)
    cells = Cells(np.arange(300), n, total.astype(float), np.zeros(300), np.ones(300))
    blocks = [Block(segment, 1.0), Block(period, 0.5), Block(handoff, 20.0)]
    beta, information, design = fit_densely(cells, blocks, family, np.ones(300))
    shown = slice(1, 8)
    part = design[:, shown] @ beta[shown]
    assert found == pytest.approx(part - np.average(part, weights=n), abs=1e-4)
    covariance = np.linalg.inv(information)[shown, shown]

    def mean_of(rows):
        return np.average(design[rows][:, shown], axis=0, weights=n[rows])

    for number in range(9):
        apart = mean_of(handoff == number) - mean_of(handoff % 3 == number % 3)
        wanted = np.sqrt(apart @ covariance @ apart)
        assert error[handoff == number] == pytest.approx(wanted, rel=1e-3)


def test_a_tail_is_that_of_the_beta_binomial_law():
    n, count = np.array([40.0, 500, 60, 12]), np.array([9.0, 30, 60, 1])
    share, others = np.array([0.1, 0.02, 0.5, 0.3]), np.array([80.0, 1_000, 30, 30])
    wanted = betabinom.sf(count - 1, n, share * others, (1 - share) * others)
    wanted[3] = 1.0  # no more than expected
    assert tail_of_counts(count, n, share, others) == pytest.approx(wanted, rel=1e-6)


def test_sums_add_up_each_row_of_values_apart():
    values = np.arange(12.0).reshape(2, 6)
    number = np.array([0, 2, 2, 0, 3, 0])
    assert add_up(values, number, 5).tolist() == [[8, 0, 3, 4, 0], [26, 0, 15, 10, 0]]
    assert add_up(values[0], number, 5).tolist() == [8, 0, 3, 4, 0]
    assert add_up(np.zeros(0), np.zeros(0, dtype=np.int64), 0).tolist() == []


def judge_shares(usual, spread, *, n, expected, observed):
    """Twenty cells that differ by nature (in points), and one more that is asked about, as 0."""
    rng = np.random.default_rng(1)
    size = np.append(n, np.full(20, 4_000.0))
    share = np.append(expected, np.full(20, usual))
    seen = np.append(observed, usual + rng.normal(0, spread, 20))
    logits = (np.log(x / (1 - x)) for x in (seen, share))
    deviation = next(logits) - next(logits)
    variance = 1 / (size * share * (1 - share))
    tau = natural_spread(deviation[1:], variance[1:])
    cells = np.arange(21)
    found = Expectation(size, seen, share, deviation, variance, 0 * variance, tau, "share")
    grid = Grid.__new__(Grid)
    grid.source = grid.target = cells
    frame = share_frame(grid, found, np.ones(21, dtype=bool), 1.0).row(0, named=True)
    points = seen - share
    noise = seen * (1 - seen) / size
    in_points = points[0] / np.sqrt(noise[0] + natural_spread(points[1:], noise[1:]) ** 2)
    return frame, found.z[0], in_points


def test_what_stands_out_in_logits_alone_does_not_stand_out():
    """From 2 to 20 in a thousand is much in logits; elsewhere shares differ by 5 points."""
    frame, in_logits, in_points = judge_shares(0.3, 0.05, n=4_000, expected=0.002, observed=0.02)
    assert in_logits > 4
    assert frame["z"] <= max(in_points, 0) + 0.1 < 1


def test_what_stands_out_in_points_alone_does_not_stand_out():
    """From 50 to 58 % is much in points; elsewhere one in a hundred may be two."""
    frame, in_logits, in_points = judge_shares(0.02, 0.008, n=4_000, expected=0.5, observed=0.58)
    assert in_points > 4
    assert frame["z"] == pytest.approx(in_logits)
    assert frame["z"] < 2


def test_who_is_affected_is_the_lower_end_of_the_effect():
    frame, *_ = judge_shares(0.3, 0.02, n=4_000, expected=0.3, observed=0.5)
    assert frame["low"] < frame["effect"]
    assert frame["touched"] == pytest.approx(frame["low"])
    assert frame["high"] - frame["effect"] == pytest.approx(frame["effect"] - frame["low"])
    # no narrower than the counts alone allow
    assert frame["effect"] - frame["low"] > Z95 * np.sqrt(0.25 / 4_000)
    assert judge_shares(0.3, 0.1, n=60, expected=0.3, observed=0.31)[0]["touched"] == 0
