"""The brief: from a snapshot alone, safe with any name, without a network, at most four pages."""

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import figure_findings
import polars as pl
import pytest
from journey_oracle import START, journey_map, make_workspace
from opportunity_logs import as_log, walk, world
from typer.testing import CliRunner

import cxlib as cx
from cxlib.cli import app
from cxlib.numbers import sentence_case
from cxlib.opportunities.priorities import KEEP
from cxlib.publish import Snapshot
from cxlib.views.report.content import MOST_FINDINGS, write_report
from cxlib.views.report.drawing import MOST_PLACES, draw_map
from cxlib.views.report.printing import print_pdf

PLACES = pl.col("source_place", "target_place").cast(pl.Int64)
NASTY = "<script>alert(1)</script> & 'Zubehör' " + "sehr langer Name " * 12


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    rows, *_ = walk(world(1), 300, 1, fault=0.4)
    rule = journey_map(lost=(), until=START + timedelta(days=270))
    return make_workspace(tmp_path_factory.mktemp("brief") / "ws", as_log(rows), rule=rule)


@pytest.fixture(scope="module")
def page(shop):
    return cx.report(shop, shop.path.parent / "brief.html").read_text("utf-8")


class _Read(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.addresses, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for n, v in attrs if n in ("src", "href", "srcset", "action", "data")]

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    reader = _Read()
    reader.feed(page)
    return reader


def test_it_is_one_file_that_loads_nothing_and_runs_nothing(page):
    reader = read(page)
    assert not reader.addresses
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(reader.tags)
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import|https?:", page)
    assert len(page) < 300_000


def test_it_says_what_was_published_and_nothing_else(shop, page):
    snapshot = Snapshot.newest(shop.path)
    assert snapshot is not None  # nothing was: it was published first
    text = " ".join(read(page).text)
    assert snapshot.line() in text
    # every number of customers on the map is one of the snapshot's, in multiples of k
    shown = {int(n) for n in re.findall(r'<tspan class="count"> (\d+)<', page)}
    assert shown
    assert shown <= set(snapshot.touchpoints().table["customers"])
    assert all(n % snapshot.k == 0 for n in shown)
    names = shop.customers().select("name").collect().to_series()
    assert not any(name in text for name in names)


def test_it_takes_the_newest_snapshot_unless_asked_to_publish_anew(
    shop, page, tmp_path, monkeypatch
):
    first = Snapshot.newest(shop.path)
    assert cx.report(shop, tmp_path / "again.html").read_text("utf-8") == page
    assert Snapshot.newest(shop.path) == first
    asked = []

    def publish(workspace, *, k, **_):
        asked.append(k)
        return first

    monkeypatch.setattr("cxlib.front.sharing.publish", publish)
    cx.report(shop, tmp_path / "coarser.html", k=20)
    assert asked == [20]


def test_the_map_draws_what_carries_most_contacts_and_says_what_is_left_out(shop, page):
    result = Snapshot.newest(shop.path).touchpoints()
    row = result.table.head(1)
    many = pl.concat(
        [result.table]
        + [
            row.with_columns(
                place=pl.lit(100 + i).cast(row.schema["place"]),
                touchpoint=pl.lit(f"rare {i}"),
                contacts=pl.lit(40 + i).cast(row.schema["contacts"]),
            )
            for i in range(60)
        ]
    )
    drawn = draw_map(replace(result, table=many), None, [])
    assert len(drawn["circles"]) <= MOST_PLACES
    left = len(many) - len(drawn["circles"])
    assert drawn["rest"].startswith(f"; and {left} rarer touchpoints, with ")
    # as large on paper as its width and its height allow
    assert drawn["unit"] == max(drawn["width"] / 680, drawn["height"] / 484)
    tall = draw_map(replace(result, table=many.with_columns(stage=pl.lit("only"))), None, [])
    assert tall["unit"] == tall["height"] / 484 > tall["width"] / 680
    kept = {"".join(c["label"]) for c in drawn["circles"]}
    contacts = many.sort("contacts", descending=True)
    assert contacts["touchpoint"][0] in kept


def test_any_name_stays_text_and_the_paper_stays_at_four_pages(
    shop, page, tmp_path, chromium_path, monkeypatch
):
    snapshot = Snapshot.newest(shop.path)
    details = figure_findings.details()
    row = details.bands.with_columns(PLACES).filter(signal="abandonment").head(1)
    worst = pl.concat(
        [
            row.with_columns(
                source=pl.lit(f"{i} {NASTY}"),
                owner=pl.lit(NASTY),
                sentence=pl.lit(f"{i} {NASTY} loses 1,240 customers more than {NASTY} does"),
            )
            for i in range(30)
        ]
    )
    long = replace(details, bands=worst)
    monkeypatch.setattr(Snapshot, "findings", lambda *_, **__: long)
    written = tmp_path / "nasty.html"
    write_report(snapshot, written)
    text = written.read_text("utf-8")
    assert "script" not in read(text).tags
    assert "&lt;script&gt;" in text
    pdf = tmp_path / "nasty.pdf"
    print_pdf(written, pdf)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) == 1 + MOST_FINDINGS == 4


def test_findings_are_said_ranked_and_drawn_but_for_echoes(shop, page, tmp_path, monkeypatch):
    details = figure_findings.details()
    monkeypatch.setattr(Snapshot, "findings", lambda *_, **__: details)
    table = details.found.with_columns(
        echo_of=pl.when(pl.int_range(pl.len()) == 1).then(pl.lit("another"))
    )
    details = replace(details, table=table, bands=details.bands.with_columns(PLACES))
    write_report(Snapshot.newest(shop.path), tmp_path / "found.html")
    written = read((tmp_path / "found.html").read_text("utf-8")).text
    text = " ".join(" ".join(written).replace("\N{NO-BREAK SPACE}", " ").split())
    echo = table["sentence"][1]
    own = [s for s in details.bands["sentence"].drop_nulls() if s != echo]
    places = [
        text.index(f"{n}. {sentence_case(said)}.") for n, said in enumerate(own[:MOST_FINDINGS], 1)
    ]
    assert places == sorted(places)
    assert len(places) > 1
    assert echo in details.bands["sentence"].to_list()
    assert echo not in text


def test_what_is_mended_has_a_page_only_where_nothing_else_is_found(shop, tmp_path, monkeypatch):
    bands = figure_findings.details().bands.with_columns(PLACES)
    said = bands["sentence"].drop_nulls().to_list()
    for over in ([True] + [False] * (len(bands) - 1), [True] * len(bands)):
        until = pl.when(pl.Series(over)).then(pl.date(2026, 8, 1)).alias("affected_until")
        details = figure_findings.details(bands=bands.with_columns(until))
        monkeypatch.setattr(Snapshot, "findings", lambda *_, told=details, **__: told)
        write_report(Snapshot.newest(shop.path), tmp_path / "mended.html")
        page = (tmp_path / "mended.html").read_text("utf-8")
        pages = " ".join(" ".join(read(page).text).replace("\N{NO-BREAK SPACE}", " ").split())
        assert (f"1. {sentence_case(said[0])}." in pages) == all(over)
        assert (KEEP in pages) == all(over)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--out", "brief.pdf"), "call it brief.html"),
        (("--out", "nowhere/brief.html"), "does not exist"),
        (("--out", "brief.html", "--pdf"), "no Chromium found"),
    ],
)
def test_what_cannot_be_written_is_said_before_any_work(
    shop, tmp_path, monkeypatch, options, sentence
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "none"))
    done = CliRunner().invoke(app, ["report", str(shop.path), *options])
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_command_writes_the_file_and_names_it(shop, page, tmp_path):
    out = tmp_path / "board.html"
    done = CliRunner().invoke(app, ["report", str(shop.path), "--out", str(out)])
    assert done.exit_code == 0
    assert str(out) in done.stdout.replace("\n", "")
    assert out.read_text("utf-8").startswith("<!doctype html>") or "<!doctype html>" in page
