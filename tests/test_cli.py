"""`cx`: every command on a small log, on the real logs, and on what users get wrong."""

import gzip
import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from cxlib.cli import app, lab
from cxlib.cli.selecting import read_steps
from cxlib.fragmentation.watch import Watch
from cxlib.publish import Snapshot
from cxlib.simulate.sample import write_sample
from cxlib.store import Workspace

MAP = """
version: 1
name: Corner shop
columns: {customer: who, occurred_at: when, touchpoint: what}
journey: {gap: 30d, goal: [pay]}
stages: [look, buy]
touchpoints:
  - {name: page, stage: look, channel: web}
  - {name: visit, stage: look, channel: store}
  - {name: pay, stage: buy, channel: store}
"""
ROWS = [
    ("0007", "2025-03-01T10:00:00Z", "page"),
    ("0007", "2025-03-01T12:00:00Z", "visit"),
    ("0007", "2025-03-01T12:30:00Z", "pay"),
    ("NA", "2025-03-02T10:00:00Z", "page"),
    ("NA", "2025-03-02T11:00:00Z", "visit"),
    ("12", "2025-03-03T10:00:00+01:00", "page"),
    ("12", "2025-06-01T10:00:00Z", "visit"),
]


def cx(*arguments, code=0):
    """Run `cx`; return what it wrote to stdout (stderr where it ends with an error)."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, (result.exception, result.output)
    assert "Traceback" not in result.output
    return result.stderr if code else result.stdout


def cx_json(*arguments):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(cx(*arguments, "--json"), parse_constant=refuse)


def write_log(path, rows=ROWS, header=("who", "when", "what")):
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n", "utf-8")
    return path


@pytest.fixture
def shop(tmp_path):
    """A log and a map whose every answer can be counted, in a folder of their own."""
    write_log(tmp_path / "log.csv")
    (tmp_path / "map.yaml").write_text(MAP, "utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def shop_workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    (folder / "map.yaml").write_text(MAP, "utf-8")
    log = write_log(folder / "log.csv")
    cx("ingest", log, "--map", folder / "map.yaml", "--out", folder / "ws")
    return folder / "ws"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The retailer's files, in small."""
    return write_sample(tmp_path_factory.mktemp("sample"), customers=700, seed=5)


@pytest.fixture(scope="module")
def workspace(sample, tmp_path_factory):
    out = tmp_path_factory.mktemp("cx") / "workspace"
    printed = cx(
        *("ingest", sample["contacts"], "--map", sample["journey_map"]),
        *("--customers", sample["customers"], "--ratings", sample["ratings"], "--out", out),
    )
    assert "kept as contacts" in printed
    assert "ratings" in printed
    return out


def test_map_is_the_stage_by_touchpoint_table(shop_workspace):
    rows = {row["touchpoint"]: row for row in cx_json("map", shop_workspace)}
    assert list(rows) == ["page", "visit", "pay"]
    assert [rows[name]["stage"] for name in rows] == ["look", "look", "buy"]
    assert [rows[name]["customers"] for name in rows] == [3, 3, 1]
    assert [rows[name]["contacts"] for name in rows] == [3, 3, 1]
    assert rows["visit"]["rating"] is None
    assert "dwell_seconds" in rows["visit"]


def test_first_contacts_say_where_journeys_begin_and_stages_who_goes_on(shop_workspace):
    rows = {row["touchpoint"]: row for row in cx_json("first-contacts", shop_workspace)}
    assert sum(row["journeys"] for row in rows.values()) == 4  # 90 days end a journey
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    assert "may differ" in cx("first-contacts", shop_workspace)
    look, buy = cx_json("stages", shop_workspace)
    assert (look["stage"], look["customers"], buy["stage"], buy["customers"]) == (
        "look",
        3,
        "buy",
        1,
    )


def test_transitions_have_exact_median_waits_in_seconds(shop_workspace):
    rows = {(r["source"], r["target"]): r for r in cx_json("transitions", shop_workspace)}
    assert rows.keys() == {("page", "visit"), ("visit", "pay")}  # 90 days end a journey
    page = rows["page", "visit"]
    assert page["count"] == 2
    assert page["median_wait"] == page["median_wait_seconds"] == 5400
    assert rows["visit", "pay"]["median_wait"] == 1800


def test_funnel_counts_who_takes_the_steps_in_order(shop_workspace):
    rows = cx_json("funnel", shop_workspace, "--steps", "page, visit,pay")
    assert [row["step"] for row in rows] == ["page", "visit", "pay"]
    assert [row["customers"] for row in rows] == [3, 2, 1]
    assert [row["journeys"] for row in rows] == [3, 2, 1]
    for row in rows:
        assert row["low"] <= row["share"] <= row["high"]
    backwards = cx_json("funnel", shop_workspace, "--step", "pay", "--step", "page")
    assert [row["customers"] for row in backwards] == [1, 0]
    stages = cx_json("funnel", shop_workspace, "--steps", "look,buy")
    assert [row["customers"] for row in stages] == [3, 1]


def test_paths_lead_from_and_to_a_touchpoint(shop_workspace):
    everything = cx_json("paths", shop_workspace)
    assert sum(row["journeys"] for row in everything) > 0
    touchpoint = cx_json("map", shop_workspace)[0]["touchpoint"]
    for option in ("--from", "--to"):
        rows = cx_json("paths", shop_workspace, option, touchpoint, "--depth", "1")
        assert {row["of"] for row in rows} == {sum(row["journeys"] for row in rows)}
        assert touchpoint in cx("paths", shop_workspace, option, touchpoint)
    both = cx("paths", shop_workspace, "--from", touchpoint, "--to", touchpoint, code=1)
    assert "give one" in both


def test_two_parts_are_put_side_by_side(workspace):
    rows = cx_json("compare", workspace, "--a", "channel=web", "--b", "channel=app")
    whole = {row["figure"]: row for row in rows if row["what"] == "all together"}
    for part, channel in (("first", "web"), ("second", "app")):
        there = cx_json("map", workspace, "--channel", channel)
        assert whole["contacts"][part] == sum(row["contacts"] for row in there)
    lost = whole["lost"]
    assert lost["difference"] == pytest.approx(lost["second"] - lost["first"])
    assert lost["difference_low"] < lost["difference"] < lost["difference_high"]


def test_environments_are_put_side_by_side(workspace):
    rows = cx_json("compare", workspace, "--a", "place=app 4.9", "--b", "place=app 5.0")
    contacts = next(r for r in rows if (r["what"], r["figure"]) == ("all together", "contacts"))
    store = Workspace.open(workspace).store()
    for part, value in (("first", "app 4.9"), ("second", "app 5.0")):
        there = store.filter(pl.col("environment.place") == value).collect()
        assert contacts[part] == len(there) > 0


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("channel=wbe", "Did you mean 'web'"),
        ("web", "is not NAME=VALUE"),
        ("period=2031", "2031"),
        ("planet=mars", "planet"),
    ],
)
def test_a_part_that_cannot_be_compared_is_one_sentence(workspace, part, said):
    told = cx("compare", workspace, "--a", part, code=1)
    assert said in told
    assert told.count("\n") == 1


def test_tables_for_people_say_the_same(shop_workspace):
    assert "3 customers, 4 journeys, 7 contacts" in cx("map", shop_workspace)
    printed = cx("transitions", shop_workspace)
    assert "1.5" in printed
    assert "30" in printed
    assert "pay" in cx("funnel", shop_workspace, "--steps", "page,pay")


def test_a_part_of_the_log_is_asked_by_segment_channel_and_period(workspace):
    everyone = cx_json("map", workspace)
    north = cx_json("map", workspace, "--segment", "region=north")
    assert sum(r["contacts"] for r in north) < sum(r["contacts"] for r in everyone)
    web = cx_json("map", workspace, "--channel", "web")
    assert {row["channel"] for row in web} == {"web"}
    spring = cx_json("map", workspace, "--period", "2025-03..2025-04")
    in_store = Workspace.open(workspace).store().filter(pl.col("period").is_between(2, 3))
    assert sum(r["contacts"] for r in spring) == in_store.collect().height
    part = cx_json("transitions", workspace, "--channel", "web", "--period", "2025-03")
    whole = {(r["source"], r["target"]): r["count"] for r in cx_json("transitions", workspace)}
    assert part
    assert all(r["count"] <= whole[r["source"], r["target"]] for r in part)


def test_every_table_is_printed_for_people_too(workspace):
    for command in ("map", "transitions", "findings"):
        assert "Demo retailer" in cx(command, workspace)


def test_findings_are_a_list_of_objects(workspace):
    rows = cx_json("findings", workspace)
    wanted = "source target signal n observed expected effect low high q customers_affected finding"
    for row in rows:
        assert row.keys() >= set(wanted.split())
        assert row["finding"] in (True, False)
    assert rows


def test_findings_where_nothing_is_measurable_are_none_and_say_why(shop_workspace):
    assert cx_json("findings", shop_workspace) == []
    result = CliRunner().invoke(app, ["findings", str(shop_workspace)])
    assert "no finding" in result.stdout
    assert "not measurable, because the log has fewer than 100 customers" in result.stderr


def test_watch_tells_schedulers_by_its_exit_code(workspace, monkeypatch):
    assert "not a date" in cx("watch", workspace, "--since", "soon", code=1)
    assert "leaves nothing" in cx("watch", workspace, "--since", "2031-01-01", code=1)
    row = {"source": "x", "target": "x", "sentence": "x", "signal": "delay", "effect": float("nan")}
    for status, code in (("new", 3), ("growing", 3), ("mended", 0), ("ongoing", 0)):
        told = Watch(
            table=Watch.tables["table"].frame([{**row, "status": status}]),
            since=date(2025, 7, 1),
            reason="",
            observed_until=datetime(2025, 9, 1, tzinfo=UTC),
        )
        monkeypatch.setattr("cxlib.fragmentation.watch_findings", lambda *a, told=told, **k: told)
        result = CliRunner().invoke(
            app, ["watch", str(workspace), "--since", "2025-07-01", "--json"]
        )
        assert result.exit_code == code
        (told_row,) = json.loads(result.stdout)
        assert (told_row["status"], told_row["effect"]) == (status, None)


def test_watch_says_before_and_since(workspace):
    result = CliRunner().invoke(app, ["watch", str(workspace), "--since", "2025-06-15"])
    assert result.exit_code in (0, 3)
    assert "since 2025-06-01." in result.stdout
    late = cx("watch", workspace, "--since", "2025-09-20")
    assert "Too early to say" in late
    assert "unclear" in late or "before (95 %)" not in late


def test_predict_prints_forecasts_beside_their_backtest_and_names_nobody(workspace, tmp_path):
    listed = tmp_path / "under_way.csv"
    printed = cx("predict", workspace, "--top", 3, "--customers", listed)
    assert "held against what came" in printed
    told = cx_json("predict", workspace)
    assert told["handoffs"]["sentence"] in printed.replace("\n", " ")
    assert (told["handoffs"]["reason"] is None) == bool(told["handoffs"]["table"])
    under_way = told["under_way"]
    assert sum(row["customers"] for row in under_way["table"]) == under_way["customers"]
    assert all(row["error"] > 0 for row in told["backtest"]["table"])
    ids = pl.read_csv(listed, schema_overrides={"customer": pl.String})["customer"]
    assert ids.n_unique() == under_way["customers"]
    text = json.dumps(told) + printed
    assert not [name for name in ids if name in text]


def test_predict_on_a_short_log_says_why(shop_workspace):
    printed = cx("predict", shop_workspace)
    assert "No handoff is forecast, because the log has fewer than 100 customers" in printed
    told = cx_json("predict", shop_workspace)
    assert told["under_way"]["reason"] == told["handoffs"]["reason"]
    assert told["backtest"] == {"sentences": [], "table": []}
    assert "signal" in cx("predict", shop_workspace, "--signal", "delay", code=1)


def test_selftest_that_cannot_test_says_why(shop_workspace):
    told = cx_json("selftest", shop_workspace)
    assert told["reason"].startswith("not measurable, because the log has fewer than 100 customers")
    assert told["planted"] == told["false_findings"] == []
    assert "Not measurable, because the log has fewer" in cx("selftest", shop_workspace)


def test_selftest_reads_like_a_sentence(workspace):
    # a log so small that hardly a fault can be planted: what is not tested is said
    printed = cx("selftest", workspace, "--shuffles", 1)
    assert "on 1 shuffled copy of the log. With a fault: " in printed
    assert "Customers leave: none planted, because no handoff is both ordinary and large" in printed
    assert "1 to 20" in cx("selftest", workspace, "--shuffles", 0, code=1)


def test_check_reports_without_writing(shop):
    write_log(shop / "log.csv", [*ROWS, ("", "2025-03-01T10:00:00Z", "page"), ("9", "soon", "pay")])
    before = sorted(shop.iterdir())
    report = cx_json("check", shop / "log.csv", "--map", shop / "map.yaml")
    assert report["rows_in"] == 9
    assert report["contacts"] == 7
    assert sum(report["set_aside"].values()) == 2
    assert report["customers"] == 3
    assert "set aside" in cx("check", shop / "log.csv", "--map", shop / "map.yaml")
    assert sorted(shop.iterdir()) == before
    cx("check", shop / "log.csv", "--map", shop / "map.yaml", "--strict", code=1)


def test_init_proposes_a_map_that_ingest_takes_as_it_stands(shop):
    cx("init", shop / "log.csv", "--out", shop / "guess.yaml")
    assert "guess" in (shop / "guess.yaml").read_text("utf-8")
    assert cx("init", shop / "log.csv") == (shop / "guess.yaml").read_text("utf-8")
    cx("ingest", shop / "log.csv", "--map", shop / "guess.yaml", "--out", shop / "ws")
    assert {r["touchpoint"] for r in cx_json("map", shop / "ws")} == {"page", "visit", "pay"}
    error = cx("init", shop / "log.csv", "--out", shop / "guess.yaml", code=1)
    assert "--force" in error


def test_separator_and_encoding_can_be_given(shop):
    text = "who;when;what\n7;2025-03-01T10:00:00Z;Café\n8;2025-03-01T11:00:00Z;page\n"
    (shop / "log.csv").write_bytes(text.encode("cp1252"))
    given = ("--map", shop / "map.yaml", "--separator", ";", "--encoding", "cp1252")
    report = cx_json("check", shop / "log.csv", *given)
    assert [u["name"] for u in report["unmapped"]] == ["Café"]


def test_publish_then_demo_refuses_to_replace_another_workspace(
    workspace, shop_workspace, monkeypatch
):
    monkeypatch.setattr("cxlib.front.sharing._answers", lambda *_, **__: ["touchpoints"])
    monkeypatch.setattr("cxlib.front.sharing.VIEWS", {})
    assert "Published" in cx("publish", workspace, "--k", "5")
    assert Snapshot.open(workspace).manifest["k"] == 5
    error = cx("demo", "--workspace", shop_workspace, "--no-serve", code=1)
    assert "Corner shop" in error


def test_serve_needs_a_workspace_and_a_token_for_others(workspace, tmp_path, monkeypatch):
    assert "not a workspace" in cx("serve", tmp_path, code=1)
    assert "token" in cx("serve", workspace, "--ip", "0.0.0.0", code=1)
    asked = {}
    monkeypatch.setattr("cxlib.serve.serve_dashboards", lambda *a, **k: asked.update(k, folder=a))
    cx("serve", workspace, "--port", "9000", "--ip", "127.0.0.1")
    assert asked["port"] == 9000
    assert asked["folder"] == (workspace,)
    assert (asked["dashboards_dir"] / "journey_map.ipynb").is_file()


@pytest.fixture
def lab_started(monkeypatch, tmp_path):
    """What JupyterLab would have been started with, in a folder without anything."""
    started = {}

    def start(command, *, cwd, env):
        folder = Path(env["JUPYTER_CONFIG_PATH"].split(os.pathsep)[0]) / "labconfig"
        news = json.loads((folder / "default_setting_overrides.json").read_text("utf-8"))
        started.update(command=command, cwd=Path(cwd).resolve(), env=env, news=news)
        return 0

    monkeypatch.setattr(lab.subprocess, "call", start)
    monkeypatch.setattr(lab, "_is_root", lambda: False)
    monkeypatch.chdir(tmp_path)
    return started


def test_lab_opens_the_notebooks_on_the_workspace_without_a_question_about_news(
    workspace, lab_started, tmp_path
):
    cx("lab", workspace, "--port", "9001", "--no-browser")
    assert lab_started["env"]["CX_WORKSPACE"] == str(workspace.resolve())
    assert lab_started["cwd"] == tmp_path / "notebooks"
    expected = ["-m", "jupyterlab", "--ServerApp.port=9001", "--no-browser"]
    assert lab_started["command"][1:] == expected
    assert "false" in str(lab_started["news"])
    assert len(list((tmp_path / "notebooks").glob("*.ipynb"))) >= 6
    cx("lab", workspace / "nowhere", code=1)


def test_lab_as_root_says_what_to_do_and_does_it(workspace, lab_started, monkeypatch):
    monkeypatch.setattr(lab, "_is_root", lambda: True)
    assert "cx lab --allow-root --ip 0.0.0.0 --no-browser" in cx("lab", workspace, code=1)
    assert not lab_started
    cx("lab", workspace, "--allow-root", "--ip", "0.0.0.0", "--no-browser")
    assert lab_started["command"][3:] == ["--ServerApp.ip=0.0.0.0", "--no-browser", "--allow-root"]


def test_notebooks_are_the_analysts_own_once_copied(tmp_path, monkeypatch):
    brought = tmp_path / "brought"
    brought.mkdir()
    monkeypatch.setattr("cxlib.shipped.shipped_folder", lambda name: brought)
    own = tmp_path / "own"
    for name in ("a", "b"):
        (brought / f"{name}.ipynb").write_text("first")
    lab.copy_notebooks(own)
    (own / "a.ipynb").write_text("edited")
    (own / "b.ipynb").unlink()
    lab.copy_notebooks(own)
    assert [(own / f"{name}.ipynb").read_text() for name in ("a", "b")] == ["edited", "first"]


def test_cx_alone_is_its_help_and_completion_can_be_installed():
    printed = cx()
    assert "Usage: cx" in printed
    assert "--install-completion" in printed
    assert printed.strip() == cx("--help").strip()


def rows_with(*more):
    return lambda folder: write_log(folder / "log.csv", [*ROWS, *more])


def gzip_cut_off(folder):
    whole = gzip.compress(write_log(folder / "log.csv").read_bytes() * 1)
    (folder / "log.csv").unlink()
    (folder / "log.csv.gz").write_bytes(whole[: len(whole) // 2])


BAD_LOGS = {
    "a missing column": (
        lambda f: write_log(f / "log.csv", header=("who", "when", "thing")),
        "'what'",
    ),
    "an empty file": (lambda f: (f / "log.csv").write_bytes(b""), "empty"),
    "a header only": (lambda f: write_log(f / "log.csv", []), "no row"),
    "a truncated gzip": (gzip_cut_off, "cut off"),
    "no such file": (lambda f: (f / "log.csv").unlink(), "no such file"),
    "times that are none": (
        lambda f: write_log(f / "log.csv", [(who, "soon", what) for who, _, what in ROWS]),
        "when",
    ),
}


@pytest.mark.parametrize("kind", BAD_LOGS)
def test_a_log_that_cannot_be_read_is_one_sentence(shop, kind):
    spoil, expected = BAD_LOGS[kind]
    spoil(shop)
    log = next(iter(shop.glob("log.csv*")), shop / "log.csv")
    for command in (["check"], ["ingest", "--out", shop / "ws"]):
        error = cx(*command, log, "--map", shop / "map.yaml", code=1)
        sentence = [line for line in error.splitlines() if line.startswith("Error: ")]
        assert len(sentence) == 1
        assert log.name in sentence[0]
        assert expected in sentence[0]
    assert not (shop / "ws").exists()


SET_ASIDE = {
    "an unreadable date": (("9", "31.02.2025", "page"), "cannot be read"),
    "a date of 1948": (("9", "1948-03-01T10:00:00Z", "page"), "implausible time, before 1990"),
    "a date of 2099": (("9", "2099-03-01T10:00:00Z", "page"), "implausible time, in the future"),
    "a null customer": (("", "2025-03-01T10:00:00Z", "page"), "customer is empty"),
    "a duplicated row": (ROWS[0], "duplicate"),
}


@pytest.mark.parametrize("kind", SET_ASIDE)
def test_a_bad_row_is_set_aside_and_counted(shop, kind):
    row, reason = SET_ASIDE[kind]
    write_log(shop / "log.csv", [*ROWS, row])
    report = cx_json("check", shop / "log.csv", "--map", shop / "map.yaml")
    assert report["contacts"] == len(ROWS)
    assert [n for r, n in report["set_aside"].items() if reason in r] == [1]


def test_order_ties_offsets_and_odd_ids_change_no_answer(shop):
    cx("ingest", shop / "log.csv", "--map", shop / "map.yaml", "--out", shop / "a")
    write_log(shop / "log.csv", ROWS[::-1])
    cx("ingest", shop / "log.csv", "--map", shop / "map.yaml", "--out", shop / "b")
    assert cx_json("map", shop / "a") == cx_json("map", shop / "b")
    names = Workspace.open(shop / "a").customers().collect()["name"].sort().to_list()
    assert names == ["0007", "12", "NA"]
    first = Workspace.open(shop / "a").events().filter(pl.col("customer") == "12").collect()
    assert f"{first['occurred_at'][0]:%H:%M}" == "09:00"


BAD_MAPS = {
    "an unknown stage": ("stage: buy", "stage: bye", "'bye'"),
    "a touchpoint twice": ("name: visit", "name: page", "'page'"),
    "a handoff to nowhere": (
        "stages: [look, buy]",
        "planned_handoffs: [{source: page, target: till, deadline: 2d}]\nstages: [look, buy]",
        "'till'",
    ),
    "no yaml": ("stages: [look, buy]", "stages: [look, buy", "map.yaml"),
}


@pytest.mark.parametrize("kind", BAD_MAPS)
def test_a_map_that_is_wrong_is_one_sentence_with_file_and_line(shop, kind):
    old, new, expected = BAD_MAPS[kind]
    (shop / "map.yaml").write_text(MAP.replace(old, new), "utf-8")
    error = cx("check", shop / "log.csv", "--map", shop / "map.yaml", code=1)
    assert len(error.strip().splitlines()) <= 2
    assert "map.yaml, line" in error
    assert expected in error


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--channel", "webb"], "Did you mean 'web'?"),
        (["--segment", "region=nord"], "known: "),
        (["--segment", "area=north"], "region"),
        (["--segment", "north"], "NAME=VALUE"),
        (["--period", "2031"], "outside the log"),
        (["--period", "spring"], "2025-03"),
        (["--period", "2025-04..2025-03"], "ends before"),
    ],
)
def test_a_part_that_is_not_there_is_one_sentence(workspace, arguments, expected):
    for command in ("map", "first-contacts", "transitions"):
        assert expected in cx(command, workspace, *arguments, code=1)


def test_unknown_steps_and_other_folders_are_one_sentence(workspace, tmp_path):
    assert "product page" in cx("funnel", workspace, "--steps", "produkt page,till", code=1)
    assert "--steps" in cx("funnel", workspace, code=1)
    for command in ("map", "transitions", "findings", "publish"):
        assert "cx ingest" in cx(command, tmp_path / "nowhere", code=1)
    (tmp_path / "mine.txt").write_text("not yours", "utf-8")
    (tmp_path / "map.yaml").write_text(MAP, "utf-8")
    log = write_log(tmp_path / "log.csv")
    error = cx("ingest", log, "--map", tmp_path / "map.yaml", "--out", tmp_path, code=1)
    assert "not a workspace" in error
    assert (tmp_path / "mine.txt").is_file()


def test_wrong_use_is_exit_code_2(shop):
    for arguments in (["ingest", shop / "log.csv"], ["check"], ["nonsense"], ["map", "--jsn"]):
        assert "Error" in cx(*arguments, code=2)


def test_steps_with_commas_are_put_together_where_they_are_known():
    assert read_steps("a,b, c", [], ["a", "b, c"]) == ["a", "b, c"]
    assert read_steps("a,b, c", ["d,e"], ["a"]) == ["a", "b", "c", "d,e"]


def test_cx_starts_quickly_and_loads_nothing_it_does_not_need():
    code = (
        "import sys; from cxlib.cli import app; print(*sys.modules); app(['--help'], "
        "standalone_mode=False)"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    loaded = ran.stdout.splitlines()[0].split()
    heavy = {"polars", "numpy", "scipy", "sklearn", "plotly", "voila", "yaml", "rich.console"}
    assert not heavy & set(loaded)
    assert "ingest" in ran.stdout


@pytest.mark.real_log
@pytest.mark.parametrize(
    "file", [pytest.param("bpic2012.xes.gz", marks=pytest.mark.slow), "receipt.csv.gz"]
)
def test_real_logs_go_from_init_to_answers(file, shared_data, tmp_path):
    log = shared_data / file
    if not log.is_file():
        pytest.skip(f"{file} is not in {shared_data}")
    cx("init", log, "--out", tmp_path / "map.yaml")
    cx("ingest", log, "--map", tmp_path / "map.yaml", "--out", tmp_path / "ws")
    rows = cx_json("map", tmp_path / "ws")
    moves = cx_json("transitions", tmp_path / "ws")
    assert all(m["median_wait"] is not None and m["median_wait"] >= 0 for m in moves)
    if file.startswith("bpic"):
        customers = {r["touchpoint"]: r["customers"] for r in rows}
        assert customers["A_SUBMITTED"] == 13_087
        assert customers["A_DECLINED"] == 7_635
        funnel = cx_json("funnel", tmp_path / "ws", "--steps", "A_SUBMITTED,A_ACCEPTED,O_SENT")
        assert [r["customers"] for r in funnel] == [13_087, 5_113, 5_015]
        submitted = [m for m in moves if m["source"] == "A_SUBMITTED"]
        assert [(m["target"], m["count"]) for m in submitted] == [("A_PARTLYSUBMITTED", 13_087)]
    else:
        assert sum(r["contacts"] for r in rows) == 8_577
        internet = [r for r in rows if r["channel"] == "Internet"]
        assert max(r["customers"] for r in internet) == 1_250


def test_init_says_what_check_would_say(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [
        f"c{c},2025-01-{1 + c:02} 1{s}:00,{what}\n"
        for c in range(20)
        for s, what in enumerate(("visit", "basket", "payment"))
    ]
    log.write_text("client,time,event\n" + "".join(rows))
    made = CliRunner().invoke(app, ["init", str(log), "--out", str(tmp_path / "map.yaml")])
    assert made.exit_code == 0
    assert "cx check says: 60 of 60 rows kept, 20 customers" in " ".join(made.output.split())
    checked = CliRunner().invoke(app, ["check", str(log), "--map", str(tmp_path / "map.yaml")])
    assert checked.exit_code == 0
