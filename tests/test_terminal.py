"""What `cx` writes is shown by a terminal and never obeyed, whoever named the touchpoints."""

import json
import os
import re
import unicodedata
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from typer.testing import CliRunner

from cxlib.cli import app
from cxlib.cli.terminal import print_json, print_table, print_written
from cxlib.columns import Chance, Columns, Count, Label, Share, Text
from cxlib.numbers import MISSING
from cxlib.tables import Written
from cxlib.visible import escape_json, visible

ROOT = Path(__file__).resolve().parents[1]
EVIL = {
    "page": "page\x1b[31m",
    "till": "t\u202eill\u2066",
    "call": "call\r\nError: forged",
    "mail": "ma\u200bil\x9b2J",
    "desk": "desk\u061c\ufeff",
}
OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def obeyed(text: str) -> set[str]:
    """The characters that a terminal does not simply show, but for the ends of lines."""
    return {c for c in text if unicodedata.category(c) in OBEYED and c != "\n"}


def bare(text: str) -> str:
    """What is left of a text whose invisible characters the door has taken out; without blanks."""
    return "".join(c for c in text if unicodedata.category(c) not in OBEYED and not c.isspace())


def cx(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evil")
    rows = [
        (f"c{i}", f"2025-{1 + i % 9:02}-01T{9 + j:02}:00:00Z", EVIL[name])
        for i in range(60)
        for j, name in enumerate([*EVIL][: 2 + i % 4])
    ]
    log = folder / "log\x1b]0;t\u202eitle\x07.csv"
    pl.DataFrame(rows, schema=["who", "when", "what"], orient="row").write_csv(log)
    touchpoints = [
        {"name": name, "stage": "lo\x1b[2Kok", "channel": "w\u202eeb"} for name in EVIL.values()
    ]
    told = {
        "version": 1,
        "name": "Sh\x1b[5mop",
        "columns": {"customer": "who", "occurred_at": "when", "touchpoint": "what"},
        "journey": {"gap": "30d", "goal": [EVIL["mail"]]},
        "stages": ["lo\x1b[2Kok"],
        "touchpoints": touchpoints[:-1],
    }
    (folder / "map.yaml").write_text(json.dumps(told))
    customers = pl.DataFrame({"customer": [f"c{i}" for i in range(60)]})
    customers = customers.with_columns(pl.lit("g\u202eold").alias("plan"))
    customers.write_csv(folder / "customers.csv")
    ran = cx(
        "ingest", log, "--map", folder / "map.yaml", "--out", folder / "shop",
        "--customers", folder / "customers.csv",
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output
    assert obeyed(ran.output) == set()
    assert "\nError: forged" not in ran.output
    assert "\\x1b]0;t\\u202eitle\\x07" in ran.output, "the file is named"
    assert "desk" in ran.output, "the touchpoint the map does not know is named, as it reads"
    for _ in range(2):
        assert cx("publish", folder / "shop", "--no-predictions").exit_code == 0
    return folder / "shop"


COMMANDS = [
    ("map",),
    ("first-contacts",),
    ("stages",),
    ("transitions",),
    ("paths",),
    ("priorities",),
    ("funnel", "--step", EVIL["page"], "--step", EVIL["till"]),
    ("findings",),
    ("predict",),
    ("snapshots",),
    ("changes",),
    ("watch", "--since", "2025-06-01"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_no_name_is_obeyed(workspace: Path, command: tuple[str, ...]) -> None:
    name, *options = command
    ran = cx(name, workspace, *options)
    assert ran.exit_code == 0, ran.output
    assert obeyed(ran.output) == set()
    assert "\nError: forged" not in ran.output
    machine = cx(name, workspace, *options, "--json")
    assert obeyed(machine.stdout) == set()
    read = json.dumps(json.loads(machine.stdout), ensure_ascii=False)
    if name in ("map", "transitions"):
        assert "Sh\\x1b[5mop" in ran.stdout
        assert all(bare(name) in bare(read) for name in [*EVIL.values()][:2])


def test_a_report_and_a_proposal_show_every_name(workspace: Path) -> None:
    log = next(workspace.parent.glob("log*"))
    checked = cx("check", log, "--map", workspace.parent / "map.yaml")
    assert checked.exit_code == 0
    assert obeyed(checked.output) == set()
    as_json = cx("check", log, "--map", workspace.parent / "map.yaml", "--json")
    assert obeyed(as_json.stdout) == set()
    read = json.dumps(json.loads(as_json.stdout), ensure_ascii=False)
    assert bare(EVIL["desk"]) in bare(read)


@pytest.mark.parametrize(
    "arguments",
    [
        ("map", "no\x1b[31m\u202ewhere"),
        ("map", "--no\x1b[31m"),
        ("fly\x1b[31m\u202e",),
        ("--fly\x1b[31m",),
        ("transitions", "{workspace}", "--channel", "\x1b[31m\nError: forged"),
        ("funnel", "{workspace}", "--step", "\u2066\x07"),
        ("ingest", "\x1b.csv", "--map", "\x9b.yaml", "--out", "\u200e"),
        ("export", "{workspace}", "--view", "\x1b[31m"),
        ("serve", "{workspace}", "--port", "\x1b1"),
        ("map", os.fsdecode(b"\xff\x1b")),
    ],
    ids=repr,
)
def test_no_complaint_is_obeyed(workspace: Path, arguments: tuple[str, ...]) -> None:
    ran = cx(*(a.replace("{workspace}", str(workspace)) for a in arguments))
    assert ran.exit_code in (1, 2)
    assert obeyed(ran.output) == set()
    assert "\nError: forged" not in ran.output


def test_keys_of_a_map_are_shown(workspace: Path, tmp_path: Path) -> None:
    text = (workspace.parent / "map.yaml").read_text()
    for key in ('"\\u001b[31m": 1,', '"\\u202e\\u0007": {},'):
        (tmp_path / "map.yaml").write_text("{" + key + text[1:])
        ran = cx("check", next(workspace.parent.glob("log*")), "--map", tmp_path / "map.yaml")
        assert ran.exit_code == 1
        assert obeyed(ran.output) == set()


def test_only_one_module_writes() -> None:
    for path in (ROOT / "cxlib" / "cli").glob("*.py"):
        if path.name != "terminal.py":
            assert not re.search(r"\b(echo|secho|print)\(", path.read_text().replace(" echo(", ""))
            assert "typer.echo" not in path.read_text()


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_every_character_is_shown_and_json_reads_the_same(text: str) -> None:
    shown = visible(text)
    assert obeyed(shown) == set()
    assert "\n" not in shown
    assert visible(shown) == shown
    written = escape_json(json.dumps({text: [text]}, ensure_ascii=False, indent=1))
    assert obeyed(written) == set()
    assert json.loads(written) == {text: [text]}


def test_json_is_printed_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"k\u202e": "a\u2028\x7f\x85\U000e0041 ü 日本"}
    print_json(value)
    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert obeyed(out) == set()
    assert "ü 日本" in out, "what is shown as it is stays readable"


def test_columns_align_whatever_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["plain", "日本語", "e\u0301te\u0301", "a\x1b[31mb", "x\u200by", "한국"]
    print_table([{"name": name, "n": "1"} for name in names], title="t")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if " 1" in line]
    assert len(lines) == len(names)
    assert len({cell_len(line) for line in lines}) == 1


def test_a_column_in_which_nothing_is_known_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        {"name": "ad", "rating": MISSING, "owner": ""},
        {"name": "page", "rating": MISSING, "owner": "web"},
    ]
    print_table(rows, title="t")
    said = capsys.readouterr().out
    assert "rating" not in said
    assert "owner" in said
    print_table([], title="none")
    assert "None" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (40, {"touchpoint", "lost"}),
        (60, {"touchpoint", "lost", "customers", "channel"}),
        (90, {"touchpoint", "customers", "wait", "lost", "scale", "channel"}),
    ],
)
def test_numbers_are_never_broken_and_what_has_no_room_is_named(
    width: int, shown: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = ("a rather long name", "123,456", "1.2 hours", "12.3 % (11.2–13.4)", "csat", "web")
    written = Written(
        headings=("touchpoint", "customers", "wait", "lost", "scale", "channel"),
        rows=(cells, ("another name", "1", "2 hours", "3 %", "csat", "app")),
        is_number=(False, True, True, True, False, False),
        weight=(4, 2, 2, 3, 4, 1),  # every row is on one scale, which goes before all others
    )
    monkeypatch.setattr("rich.console.Console.is_terminal", property(lambda _: True))
    monkeypatch.setenv("COLUMNS", str(width))
    print_written(written, title="t")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= width
    told = zip(written.headings[1:], cells[1:], strict=True)
    said = {name for name, cell in told if any(cell in line for line in lines)}
    left_out = re.findall(r"\w+", " ".join(lines).partition("this terminal: ")[2].split(";")[0])
    assert said == shown - {"touchpoint"}
    assert {*left_out} == {*written.headings} - shown


def test_the_answer_stays_on_a_narrow_terminal() -> None:
    columns = Columns(name=Label("it"), n=Count("cases"), q=Chance("of it"),
                      share=Share("of all", interval=True), said=Text("in words"))  # fmt: skip
    weights = dict(zip(columns, columns.written(columns.frame(), first=["n"]).weight, strict=True))
    assert sorted(weights, key=weights.__getitem__) == ["q", "share", "name", "said", "n"]


def test_a_figure_is_never_broken_between_two_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = (
        "few go there (9.1\N{NO-BREAK SPACE}%), and 80 customers more than that (95 %: 60 to 100)"
    )
    written = Written(("what",), ((said,),), (False,), weight=(5,))
    monkeypatch.setattr("rich.console.Console.is_terminal", property(lambda _: True))
    for width in range(26, 60):
        monkeypatch.setenv("COLUMNS", str(width))
        print_written(written, title="t", note=said)
        out = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
        assert out.count("(9.1 %)") == 2, width
        assert out.count("(95 %: 60 to 100)") == 2, width
