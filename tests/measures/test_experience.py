"""The curve, the spectrum and the channels: counted by hand, and a planted gap found."""

import json
from collections import defaultdict
from random import Random

import numpy as np
import polars as pl
import pytest
from journey_oracle import contact, journey_map, make_workspace
from scipy.stats import studentized_range
from typer.testing import CliRunner

import cxlib as cx
from cxlib.cli.app import app
from cxlib.errors import UnknownNameError
from cxlib.measures.experience import (
    measure_consistency,
    measure_experience_curve,
    measure_spectrum,
)
from cxlib.measures.perception import measure_perception
from cxlib.statistics.multiple_testing import gap_of_means


def said(log):
    """Ratings by touchpoint and channel."""
    found = defaultdict(list)
    for row in log:
        if row.rating is not None:
            found[row.touchpoint, row.channel].append(row.rating)
    return found


def test_the_curve_follows_the_map_and_its_means_are_those_of_the_answers(workspace, log):
    found = measure_experience_curve(workspace).table
    assert found["stage"].unique(maintain_order=True).to_list()[:4] == [
        *("awareness", "exploration", "conversion", "aftersales")
    ]
    assert found["touchpoint"][0].startswith("newsletter")
    counted = said(log)
    before = None
    for row in found.to_dicts():
        name, _, channel = row["touchpoint"].removesuffix(")").partition(" (")
        given = counted[name, channel]
        assert row["n"] == len(given)
        assert row["mean"] == pytest.approx(sum(given) / len(given))
        if before is None:
            assert row["change"] is None
        else:
            assert row["change"] == pytest.approx(row["mean"] - before)
            assert row["change_low"] < row["change"] < row["change_high"]
        before = row["mean"]
    assert found["n"].sum() == sum(map(len, counted.values()))
    assert cx.explain(cx.measure_experience_curve(workspace)).answer.startswith("rating: lowest at")


def test_the_spectrum_counts_every_answer(workspace, log):
    found = measure_spectrum(workspace, by="channel").table
    by_channel = defaultdict(list)
    for (_, channel), given in said(log).items():
        by_channel[channel] += given
    for channel, given in by_channel.items():
        rows = found.filter(pl.col("group") == channel)
        assert rows["answer"].to_list() == sorted(set(given))
        for row in rows.to_dicts():
            assert row["n"] == given.count(row["answer"])
            assert row["share"] == pytest.approx(row["n"] / len(given))
            assert row["share_low"] < row["share"] < row["share_high"]
            lower = sum(g <= row["answer"] for g in given) / len(given)
            assert row["up_to"] == pytest.approx(lower)
            side = "low" if row["answer"] <= 6 else "high" if row["answer"] >= 9 else "middle"
            assert row["side"] == side
    assert found["n"].sum() == sum(map(len, by_channel.values()))


def channels_log(customers, *, gap, seed):
    """Who visits rates it between 2 and 10, by phone `gap` lower; in two channels of one step."""
    dice = Random(seed)
    log = []
    for number in range(customers):
        channel = dice.choice(["store", "phone", "web"])
        rating = min(max(round(dice.gauss(7, 1.5) - gap * (channel == "phone")), 0), 10)
        log.append(contact(f"c{number}", dice.uniform(0, 90), "visit", channel, rating=rating))
    return log


def test_a_gap_between_channels_is_found_with_its_size(tmp_path):
    log = channels_log(600, gap=1.5, seed=2)
    found = measure_consistency(make_workspace(tmp_path / "ws", log, rule=journey_map()))
    rows = {row["level"]: row for row in found.table.to_dicts()}
    assert set(rows) == {"touchpoint", "stage"}
    for row in rows.values():
        assert row["lowest"] == "phone"
        assert row["gap_low"] <= 1.5 <= row["gap_high"]
        assert row["gap_low"] > 0.8
        assert row["q"] < 0.001
        assert 0.4 < row["spread"] < 1.4
        assert row["n"] == row["customers"] == 600
        by_channel = {channel: len(given) for (_, channel), given in said(log).items()}
        assert row["lowest_n"] == by_channel["phone"]
        assert row["highest_n"] == by_channel[row["highest"]]
    assert "is rated" in found.sentences()[0]
    assert "phone" in found.sentences()[0]


def test_channels_that_are_alike_are_told_apart_as_seldom_as_the_level_says(tmp_path):
    clear = 0
    for seed in range(20):
        log = channels_log(120, gap=0.0, seed=seed)
        found = measure_consistency(make_workspace(tmp_path / f"{seed}", log, rule=journey_map()))
        row = found.table.row(0, named=True)
        clear += row["p"] <= 0.05
        assert (row["gap_low"] == 0) or row["p"] <= 0.2
    assert clear <= 4  # one in twenty; five or more of 20 come once in 400 times


def test_a_log_with_one_channel_has_no_gap(tmp_path):
    log = [contact(f"c{i}", i, "visit", "store", rating=float(i % 10)) for i in range(40)]
    found = measure_consistency(make_workspace(tmp_path / "ws", log, rule=journey_map()))
    assert found.table.is_empty()
    assert "Nothing to compare" in found.sentences()[0]
    curve = measure_experience_curve(cx.open(tmp_path / "ws"))
    assert "rated at one touchpoint only" in curve.sentences()[0]


def test_an_unknown_scale_is_refused(workspace):
    for measure in (measure_experience_curve, measure_spectrum, measure_consistency):
        with pytest.raises(UnknownNameError, match="scale 'stars'"):
            measure(workspace, scale="stars")


def test_where_narrows_all_of_them_alike(workspace):
    web = cx.Where(channel="web")
    n = measure_perception(workspace, where=web).table["n"].sum()
    assert 0 < n < measure_perception(workspace).table["n"].sum()
    for measure in (measure_experience_curve, measure_spectrum):
        assert measure(workspace, where=web).table["n"].sum() == n


@pytest.mark.parametrize(
    ("option", "columns"),
    [
        ("--curve", {"stage", "touchpoint", "mean_low", "change_high"}),
        ("--spectrum", {"touchpoint", "answer", "share_low", "side"}),
        ("--consistency", {"gap", "gap_low", "lowest", "q"}),
    ],
)
def test_the_command_prints_them(workspace, option, columns):
    run = CliRunner().invoke(app, ["perception", str(workspace.path), option, "--json"])
    assert run.exit_code == 0, run.output
    assert columns <= json.loads(run.output)[0].keys()
    shown = CliRunner().invoke(app, ["perception", str(workspace.path), option])
    assert shown.exit_code == 0, shown.output
    assert "rating" in shown.output


def test_two_questions_at_once_are_refused(workspace):
    run = CliRunner().invoke(app, ["perception", str(workspace.path), "--curve", "--spectrum"])
    assert run.exit_code == 1
    assert "give one" in run.output


def test_the_gap_of_two_means_is_the_studentised_range_of_two() -> None:
    mean, se, n = [3.0, 4.2], [0.2, 0.3], [12, 30]
    gap = gap_of_means(mean, se, n)
    apart = np.hypot(*se)
    freedom = apart**4 / sum(s**4 / (k - 1) for s, k in zip(se, n, strict=True))
    half = studentized_range.ppf(0.95, 2, freedom) / np.sqrt(2) * apart
    assert (gap.low[0], gap.high[0]) == pytest.approx((1.2 - half, 1.2 + half), rel=1e-6)
