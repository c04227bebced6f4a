"""The backlog: a planted loss comes first with its gain, and where nothing is found it says so."""

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from journey_oracle import START, contact, journey_map, make_workspace, random_log
from opportunity_logs import PAY, as_log, walk, world
from typer.testing import CliRunner

from cxlib.cli import app
from cxlib.fragmentation import measure_fragmentation
from cxlib.fragmentation.findings import ROW
from cxlib.measures.segments import compare_segments
from cxlib.numbers import share
from cxlib.opportunities import beside_findings, priorities
from cxlib.opportunities.issues import as_issues
from cxlib.opportunities.mending import change_of_finding
from cxlib.opportunities.moves import read_moves
from cxlib.opportunities.priorities import Priorities, list_priorities, say_gain
from cxlib.opportunities.what_if import Change, estimate_what_if, handoff_places, sent_by_fault
from cxlib.store.selection import Selection

COLUMNS = {
    *("what", "source", "target", "owner", "team", "ground", "evidence", "customers_affected"),
    *("gain_low", "gain", "gain_high", "gain_unit", "status", "next_step"),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    rows, *_ = walk(world(1), 4_000, 1, fault=0.3)
    rule = journey_map(lost=(), until=START + timedelta(days=270))
    return make_workspace(tmp_path_factory.mktemp("broken") / "ws", as_log(rows), rule=rule)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    log = random_log(5, customers=500)
    return make_workspace(tmp_path_factory.mktemp("quiet") / "ws", log)


def test_lines_are_ranked_by_what_they_likely_gain_at_least_then_by_customers(broken):
    found = list_priorities(broken)
    table = found.table
    assert set(table.columns) >= COLUMNS
    assert table["rank"].to_list() == list(range(1, len(table) + 1))
    gains = table.filter(gain_unit="conversions")
    sure = gains.filter(pl.col("ground") != "suspected")
    likely = (sure["gain"] + sure["gain_low"]) / 2
    assert likely.is_sorted(descending=True)
    assert (likely > 0).all()
    assert (gains["gain"] <= gains["gain_high"]).all()
    others = table.filter(pl.col("gain_unit") != "conversions")
    assert others["customers_affected"].is_sorted(descending=True)
    # conversions first, then customers spared, then what is only described
    tiers = table["gain_unit"].fill_null("none").to_list()
    assert tiers == sorted(tiers, key=["conversions", "customers spared", "none"].index)


def test_the_effort_is_that_of_the_map(tmp_path):
    rule = journey_map()
    named = {"page": "low", "basket": "high"}
    told = tuple(replace(t, effort=named.get(t.name)) for t in rule.touchpoints)
    log = random_log(5, customers=500)
    workspace = make_workspace(tmp_path / "ws", log, rule=replace(rule, touchpoints=told))
    seen = set()
    for row in list_priorities(workspace).table.to_dicts():
        ends = [(row[end] or "").split(" (")[0] for end in ("target", "source")]
        own = next((named[end] for end in ends if end in named), "unknown")
        assert row["effort"] == own
        seen.add(own)
    assert len(seen) > 1


def test_a_finding_is_mended_as_far_as_it_lies_from_what_is_expected(broken):
    moves = read_moves(broken)
    row = {
        "source": "page",
        "target": "basket",
        "signal": "abandonment",
        "ground": "like",
        "effect_unit": "share of arrivals",
        "effect": 0.3,
        "low": 0.2,
        "high": 0.4,
        "n": 100,
    }
    change = change_of_finding(moves, row)
    here = moves.table.filter(
        pl.col("before").is_in(moves.at("page").tolist()),
        pl.col("place").is_in(moves.at("basket").tolist()),
    )
    ended = here.filter(pl.col("next") == -2)["n"].sum() / here["n"].sum()
    assert change.rate == pytest.approx(ended - 0.3)
    assert change.error == pytest.approx(0.1 / 1.96)
    # found of a part of the customers only, it is mended of these: n times the effect
    part = estimate_what_if(broken, [change_of_finding(moves, row | {"ground": "past"})])
    whole = estimate_what_if(broken, [change])
    assert 0 < part.conversions["gain"] <= 100 * 0.3 < whole.conversions["gain"]
    surer = Change(kind="mend", source="page", target="basket", rate=change.rate)
    width = estimate_what_if(broken, [surer]).conversions
    assert width["low"] > whole.conversions["low"]


def test_where_too_little_is_there_to_judge_that_is_said(tmp_path):
    found = list_priorities(make_workspace(tmp_path / "ws", random_log(5, customers=20)))
    assert found.table.is_empty()
    assert "cx findings" in found.sentences()[0]


def test_where_nothing_is_found_it_is_said_and_what_is_largest_is_described(quiet):
    found = list_priorities(quiet)
    assert found.findings == 0
    assert "says where to look first" in found.sentences()[0]
    assert set(found.table["status"]) == {"described"}
    assert len(found.table) > 1
    # never raw drop-off: what is largest of its kind, in the words of the findings
    described = measure_fragmentation(quiet).described
    assert sorted(found.table["what"]) == sorted(described["sentence"])
    nobody = list_priorities(quiet, owner="nobody")
    assert nobody.table.is_empty()


def run(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    return done.exit_code, done.stdout, done.stderr


def test_commands_print_json_tables_and_sentences(broken):
    folder = broken.path
    code, out, _ = run("attribution", folder, "--json")
    assert code == 0
    row = json.loads(out)[0]
    assert {"channel", "method", "share", "low", "high", "exposure", "ratio", "different"} <= set(
        row
    )
    code, out, _ = run("what-if", folder, "--mend", "page -> basket", "--rate", "10%", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["conversions"]["low"] < told["conversions"]["gain"] < told["conversions"]["high"]
    assert told["value"] is None
    assert "journeys" in told["per"]
    for options in (
        ("--halve-wait", "page → basket"),
        ("--remove", "ad"),
        ("--move-traffic", "web -> store:20%"),
        ("--add", "ad -> visit:10%"),
    ):
        code, out, _ = run("what-if", folder, *options)
        assert code == 0
        assert "conversions" in out
    forms = {"json": "[", "csv": "rank,", "md": "| rank |", "table": "Test", "issues": "Summary,"}
    for form, begin in forms.items():
        code, out, _ = run("priorities", folder, "--format", form)
        assert code == 0
        assert out.startswith(begin)
    assert run("attribution", folder, "--by", "touchpoint", "--horizon", "20d")[0] == 0


def test_lines_are_issues_that_a_tracker_imports(broken):
    found = list_priorities(broken)
    table = found.table.with_columns(
        what=pl.when(rank=1).then(pl.col("what") + " and more" * 60).otherwise("what"),
        status=pl.when(rank=2).then(pl.lit("mended")).otherwise("status"),
    )
    issues = as_issues(Priorities(table=table, findings=1), say_gain)
    assert issues.columns == ["Summary", "Description", "Priority", "Status", "Labels"]
    assert issues["Summary"].str.len_chars().max() <= 255
    assert issues["Summary"].null_count() == issues["Description"].null_count() == 0
    first, second = issues.to_dicts()[:2]
    assert "and more and more" in first["Description"].split("\n")[0]
    assert first["Description"].count("\n") >= 4
    assert (first["Status"], second["Status"]) == ("To Do", "Done")
    assert first["Priority"] == table["confidence"][0].capitalize()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("what-if", "--mend", "page"), "is not a handoff"),
        (("what-if", "--mend", "page -> basket", "--rate", "ten"), "is not a share"),
        (("what-if", "--rate", "0.1"), "goes with --mend"),
        (("what-if", "--mend", "page -> baskt", "--rate", "0"), "Did you mean 'basket'"),
        (("what-if", "--move-traffic", "web -> store"), "is not a share"),
        (("what-if", "--add", "ad -> vist:10%"), "Did you mean 'visit'"),
        (("what-if",), "name a change"),
        (("plan",), "planned_handoffs"),
        (("priorities", "--format", "xml"), "is none of"),
        (("attribution", "--horizon", "soon"), "is not a duration"),
    ],
)
def test_what_is_typed_wrongly_is_said_in_one_sentence(broken, arguments, sentence):
    command, *options = arguments
    code, _, err = run(command, broken.path, *options)
    assert code == 1
    assert sentence in err
    assert "Traceback" not in err


def test_the_world_of_these_tests_converts(broken):
    assert broken.places.filter("is_goal")["touchpoint"].to_list() == ["pay"]
    assert PAY == 5


def test_a_backlog_without_texts_says_them_from_its_rows():
    columns = Priorities.tables["table"]
    line = {"source": "page", "target": "basket", "signal": "abandonment", "ground": "past"}
    line |= {"customers_affected": 70, "next_step": "Ask."}
    lines = [
        line | {"rank": 1, "sample": 30},
        line | {"rank": 2, "ground": "expansion", "signal": None},
        line | {"rank": 3, "ground": "described", "target": None},
        line | {"rank": 4, "ground": "like", "customers_affected": None},
        line | {"rank": 5, "what": "as measured", "evidence": "n = 7"},
        line | {"rank": 6, "ground": "setback", "signal": None, "target": None},
        line | {"rank": 7, "ground": "timing", "source": None},
        line | {"rank": 8, "ground": "lateness"},
    ]
    table = Priorities(table=columns.frame(lines), findings=2, observed_until=START).table
    assert table["what"].to_list() == [
        "page → basket: customers leave, more than before; at least 70 customers affected",
        "page → basket: few go this way, and more of them reach the goal than of similar journeys; "
        "at least 70 customers",
        "page: customers leave; at least 70 customers",
        "page → basket: customers leave, more than where it is alike",
        "as measured",
        "page: few come there, and fewer of them reach the goal than of the others; "
        "at least 70 customers",
        "basket: who answers before it rates lower than who answers after it; "
        "at least 70 customers",
        "page → basket: some come late, and rate lower than those in time; at least 70 customers",
    ]
    assert table["evidence"].null_count() == 0
    assert table["evidence"][4] == "n = 7"
    assert "30 a group" in table["how_to_test"][0]
    assert table["how_to_test"][2].startswith("It is not compared")


def test_a_group_that_reaches_the_goal_less_often_is_a_line_and_its_outcome_is_none(tmp_path):
    """By channel and segment, as counted; what is known only afterwards tells no group apart."""
    dice = np.random.default_rng(3)
    rows, people = [], []
    for who in range(1_500):
        name, cohort = f"c{who:04}", ["new", "old", "older"][who % 3]
        paid = dice.random() < (0.1 if cohort == "new" else 0.3)
        people.append({"customer": name, "cohort": cohort, "status": "sold" if paid else "none"})
        rows.append(contact(name, who / 60, "page"))
        rows += [contact(name, who / 60 + 0.1, "pay")] if paid else []
    people, rule = pl.DataFrame(people), journey_map(lost=(), until=START + timedelta(days=90))
    workspace = make_workspace(tmp_path / "ws", rows, rule=rule, customers=people)
    found = list_priorities(workspace).table.filter(
        pl.col("group").is_not_null(), pl.col("signal").is_null()
    )
    assert found["group"].to_list() == ["cohort: new"]
    line, told = found.row(0, named=True), compare_segments(workspace, dimension="cohort").table
    new = told.row(by_predicate=pl.col("value") == "new", named=True)
    assert line["customers_affected"] == int(-new["difference_high"] * new["customers"])
    assert f"cohort new: {share(new['goal'], new['goal_low'], new['goal_high'])}" in line["what"]
    again = Priorities(table=found.with_columns(what=pl.lit(None, pl.String)), findings=0)
    assert again.table["what"][0].startswith("pay (cohort: new): fewer of this group reach it")


def test_channels_are_compared_where_the_same_touchpoints_are_on_several(tmp_path):
    """One page on two devices: that is the device's; a visit and a call are not alike."""
    dice = np.random.default_rng(4)

    def log(devices):
        rows = []
        for who in range(1_200):
            mobile = who % 2 == 0
            device = ("mobile" if mobile else "desktop") if devices else None
            what = "page" if devices or mobile else "visit"
            rows.append(contact(f"c{who}", who / 60, what, channel=device))
            if dice.random() < (0.1 if mobile else 0.3):
                rows.append(contact(f"c{who}", who / 60 + 0.1, "pay", channel=device))
        rule = journey_map(lost=(), until=START + timedelta(days=90))
        table = list_priorities(make_workspace(tmp_path / f"{devices}", rows, rule=rule)).table
        return table.filter(pl.col("group").is_not_null(), pl.col("signal").is_null())["group"]

    assert log(devices=True).to_list() == ["channel: mobile"]
    assert log(devices=False).is_empty()


def test_a_wait_counts_by_the_days_it_loses_a_loss_by_its_customers(broken):
    told = {"source": "ad", "target": "page", "unit": "transition", "n": 9_000, "q": 0.001}
    told |= {"signal": "abandonment", "ground": "like", "effect": 0.1, "effect_unit": "hours"}
    loss = dict.fromkeys(ROW.names) | told | {"customers_affected": 70}
    wait = loss | {"signal": "delay", "customers_affected": 5_000, "hours_lost": 240.0}
    line = priorities._line(wait, broken, None)
    assert (line["worth"], line["customers_affected"]) == (10, 5_000)
    assert priorities._line(wait | {"hours_lost": 1e9}, broken, None)["worth"] == 5_000
    assert priorities._line(loss, broken, None)["worth"] == loss["customers_affected"]


def test_a_suspected_loss_is_a_line_with_its_conversions(broken, monkeypatch):
    told = {
        "source": "ad", "target": None, "kind": "leave", "n": 900.0, "observed": 0.5,
        "expected": 0.2, "affected": 200.4, "gain": 100.0, "low": 80.0, "high": 120.0,
        "likely": 90.0, "worth": 90.0, "of_way": False,
    }  # fmt: skip
    way = told | {"source": "page", "target": "basket", "of_way": True}
    monkeypatch.setattr(beside_findings, "find_suspects", lambda *_: [told, way])
    table = list_priorities(broken).table
    line = table.filter(ground="suspected").row(0, named=True)
    assert (
        line["what"].replace("\xa0", " ")
        == "ad: 50 % leave there, 20 % would be usual in this stage (suspected)"
    )
    assert (line["gain_low"], line["gain"], line["gain_high"]) == (80.0, 100.0, 120.0)
    assert (line["half_low"], line["customers_affected"]) == (40.0, 200)
    assert (line["gain_unit"], line["confidence"], line["status"]) == (
        "conversions", "low", "described",
    )  # fmt: skip
    # what is told of already is not told again, and of a part of the log nothing is suspected
    known = {("page", "basket"), ("newsletter", "ad")}
    assert beside_findings.suspected(broken, read_moves(broken), known) == []
    # nor is what was found of all who come to the touchpoint
    known = {("basket", None), ("ad", None)}
    assert beside_findings.suspected(broken, read_moves(broken), known) == []
    part = list_priorities(broken, where=Selection(period=(0, 3))).table
    assert part.filter(ground="suspected").is_empty()


def plant(monkeypatch, workspace, *rows):
    """Let findings be these rows."""
    usual = dict.fromkeys(ROW.names) | {
        "unit": "transition", "signal": "abandonment", "ground": "like", "n": 900,
        "compared_with": "similar handoffs", "transitions": 900, "observed": 0.5, "expected": 0.2,
        "effect": 0.3, "low": 0.2, "high": 0.4, "effect_unit": "share of arrivals", "q": 0.001,
        "customers_affected": 180, "finding": True,
    }  # fmt: skip
    judged = measure_fragmentation(workspace)
    table = judged.tables["table"].frame([usual | row for row in rows])
    told = replace(judged, table=table)
    monkeypatch.setattr(priorities, "measure_fragmentation", lambda *_, **__: told)


def test_findings_are_ranked_by_what_they_likely_gain_at_least(broken, monkeypatch):
    small = {"source": "newsletter", "target": "page", "expected": 0.4, "effect": 0.1, "low": 0.08}
    small |= {"high": 0.12, "customers_affected": 800}
    wait = {"source": "ad", "target": "basket", "signal": "delay", "effect_unit": "times as long"}
    wait |= {"effect": 3.0, "low": 2.0, "high": 4.0, "customers_affected": 5_000}
    plant(monkeypatch, broken, wait, small, {"source": "page", "target": "basket"})
    table = list_priorities(broken).table.head(3)
    assert table["rank"].to_list() == [1, 2, 3]
    assert table["source"].to_list() == ["page", "newsletter", "ad"]
    assert table["gain_unit"].to_list() == ["conversions", "conversions", "customers spared"]
    first, second, _ = table["gain_low"]
    assert first > second > 0
    assert (table["gain_low"] <= table["gain"]).all()
    assert (table["gain"] <= table["gain_high"]).all()


def test_what_is_mended_comes_last_and_gains_nothing(broken, monkeypatch):
    plant(monkeypatch, broken, {"source": "page", "target": "basket"})
    line = list_priorities(broken).table.row(0, named=True)
    assert line["gain_low"] > 0
    monkeypatch.setattr(priorities, "_status", lambda *_: "mended")
    table = list_priorities(broken).table
    mended = table.row(-1, named=True)
    assert table["status"].to_list().count("mended") == 1
    assert (mended["source"], mended["status"]) == ("page", "mended")
    assert all(mended[name] is None for name in ("gain_low", "gain", "gain_high", "half_low"))
    assert mended["customers_affected"] == line["customers_affected"]


def test_what_is_found_of_a_touchpoint_gains_conversions_there_whatever_comes_next(
    broken, monkeypatch
):
    place = {"source": "basket", "target": None, "unit": "place"}
    named = place | {"target": "pay"}  # where nearly all go from there
    for row in (place, named):
        plant(monkeypatch, broken, row)
        line = list_priorities(broken).table.row(0, named=True)
        assert (line["source"], line["gain_unit"]) == ("basket", "conversions")
        change = change_of_finding(read_moves(broken), told_row(broken))
        assert (change.source, change.target) == ("basket", "")
        gain = estimate_what_if(broken, [change]).conversions
        assert (line["gain_low"], line["gain"]) == (gain["low"], gain["gain"])
    # by every way, and so more than of one
    way = Change(kind="mend", source="page", target="basket", rate=change.rate)
    assert gain["gain"] > estimate_what_if(broken, [way]).conversions["gain"] > 0


def told_row(workspace):
    """The one finding that was planted."""
    return priorities.measure_fragmentation(workspace).found.row(0, named=True)


def test_a_wait_gains_what_those_keep_who_wait_as_long_as_expected(broken, monkeypatch):
    wait = {"source": "page", "target": "basket", "signal": "delay", "effect": 4.0, "low": 3.0}
    wait |= {"high": 5.0, "effect_unit": "ratio of medians", "hours_lost": 1e6}
    plant(monkeypatch, broken, wait)
    change = change_of_finding(read_moves(broken), told_row(broken))
    assert (change.kind, change.rate) == ("halve_wait", 0.25)
    assert "cut to 25" in str(change)
    half = change_of_finding(read_moves(broken), told_row(broken), mended=2 / 3)
    assert half.rate == pytest.approx(0.5)
    asked = Change(kind="halve_wait", source="page", target="basket")
    gains = [estimate_what_if(broken, [one]) for one in (half, asked, change)]
    assert gains[0].conversions == gains[1].conversions
    assert gains[2].time["gain"] < gains[1].time["gain"] < 0
    # where a part of them waits, all wait a little less
    some = told_row(broken) | {"ground": "past", "n": 10}
    assert 0.25 < change_of_finding(read_moves(broken), some).rate < 1


def test_a_status_that_cannot_be_told_says_so(broken, monkeypatch):
    plant(monkeypatch, broken, {"source": "page", "target": "basket"})
    unclear = pl.DataFrame(
        {"source": ["page"], "target": ["basket"], "signal": ["abandonment"], "status": ["unclear"]}
    )
    watched = SimpleNamespace(table=unclear)
    monkeypatch.setattr(priorities, "watch_findings", lambda *_, **__: watched)
    monkeypatch.setattr(type(broken), "keep", lambda self, name, file, make: make())
    assert list_priorities(broken).table["status"][0] == "too few to tell"


def test_ping_pong_is_mended_at_the_touchpoint_or_the_channel_that_it_was_found_of(broken):
    moves = read_moves(broken)
    pong = {"source": "page", "target": "basket", "signal": "ping_pong", "ground": "like"}
    pong |= {"effect_unit": "share of those who went on", "n": 900, "effect": 0.05}
    pong |= {"low": 0.04, "high": 0.06}
    whole = Change(kind="mend", source="page", target="basket", signal="ping_pong", rate=1.0)
    chain = moves.first_order(*handoff_places(moves, whole))
    for near in (False, True):
        rows, columns, _ = sent_by_fault(chain, moves, replace(whole, near=near))
        counts = chain.moves[0, rows]
        back, onward = counts[:, columns].sum(), counts[:, :-1].sum()
        change = change_of_finding(moves, pong | {"observed": back / onward})
        assert change.near == near
        assert change.rate == pytest.approx((back - 0.05 * onward) / counts.sum())


def test_who_rates_lower_for_waiting_stands_among_the_findings(broken, monkeypatch):
    plant(monkeypatch, broken)  # none
    line = beside_findings._describe(broken, "late", "n = 900", 300, None)
    late = line | {"ground": "lateness", "tier": "spared"}
    scale = {
        "around_goal": "who answers before it rates lower", "around_customers": 200, "n": 900,
        "response": 0.5,
    }  # fmt: skip
    found = SimpleNamespace(
        scales=pl.DataFrame([scale]),
        table=pl.DataFrame(
            schema={"trusted": pl.Boolean, "verdict": pl.String, "group": pl.String}
            | dict.fromkeys(("others", "mean", "n"), pl.Float64)
        ),
    )
    monkeypatch.setattr(beside_findings, "measure_perception", lambda *_, **__: found)
    monkeypatch.setattr(beside_findings, "deviations", lambda *_: [late, line | {"source": "ad"}])
    table = list_priorities(broken).table.filter(pl.col("gain_unit").is_null())
    assert table["ground"].to_list()[:2] == ["lateness", "timing"]
    assert table["customers_affected"].to_list()[:3] == [300, 200, 300]
