"""What is published because of its columns alone: derived rules, attacked on random answers."""

import json
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from publish_log import build, simulate

from cxlib import columns as kinds
from cxlib.columns import (
    Amount,
    Chance,
    Columns,
    Count,
    Customers,
    Flag,
    Instant,
    Label,
    Money,
    Points,
    Rank,
    Rating,
    Share,
    Tables,
    Text,
    Wait,
)
from cxlib.errors import InputError, UnknownNameError
from cxlib.publish import Snapshot, publish
from cxlib.publish.asking import Answers, number_rows
from cxlib.publish.rules import PUBLISHED, Published, check_columns
from cxlib.publish.selections import Choices
from cxlib.publish.small_groups import is_name, protect
from cxlib.publish.write import _Log, _protected
from cxlib.results import Result, answers, result
from cxlib.store import Workspace

K = 10
SEGMENTS = (("region", "north"), ("region", "south"), ("kind", "old"))
CHOICES = Choices(SEGMENTS, (), "month", ())
HEAVY = {"contacts": 37, "ratings": 18, "journeys": 9, "dwells": 9}
UNTIL = datetime(2026, 4, 1, tzinfo=UTC)


@result
class Toy(Result):
    """A result with a column of every kind."""

    told: str

    tables = Tables(
        table=Columns(
            "one row per name",
            name=Label("of something"),
            place=Rank("in an order"),
            verdict=Label("judged", of="customers"),
            sure=Flag("whether it is", of="n"),
            advice=Text("what to do", fixed=True),
            sentence=Text("with exact figures"),
            customers=Customers("behind it"),
            n=Count("contacts", each="contacts"),
            good_n=Count("of them that went well", each="contacts"),
            good=Share("of n", of="n", cases=("good_n",), interval=True),
            part=Share("of all", of="n", total="all_n"),
            all_n=Count("of all names", each="contacts"),
            liked=Share("of the customers"),
            wait=Wait("median", of="n", interval=True),
            rating=Rating("mean", of="n", interval=True),
            gain=Amount("conversions", each="journeys", interval=("least", "most")),
            mean=Amount("a mean", of="n"),
            more=Points("than others", of="n", interval=True),
            cost=Money("in all", each="cost"),
            q=Chance("of it"),
            last=Instant("of the last contact"),
        )
    )


@answers(Toy)
def measure_toy(workspace: Workspace, *, where=None) -> Toy:
    """Measure nothing.

    Parameters
    ----------
    workspace
        The workspace.
    where
        A segment.

    Returns
    -------
    Toy
    """
    log = workspace if isinstance(workspace, list) else LOG
    return answer(log, None if where is None else where.segment)


LOG: list = []
TOY = Published("toy", f"{__name__}:measure_toy", plain=("told",))


def answer(log, segment) -> Toy:
    """Count a log by hand: (name, region, kind, contacts, contacts that went well) by customer."""
    chosen = [c for c in log if segment is None or segment[1] in c[1:3]]
    every = sum(c[3] for c in chosen)
    rows = []
    for number, name in enumerate(sorted({c[0] for c in chosen})):
        mine = [c for c in chosen if c[0] == name]
        n, good = sum(c[3] for c in mine), sum(min(c[3], c[4]) for c in mine)
        share = good / n if n else None
        rows.append(
            {
                "name": name,
                "place": number + 1,
                "verdict": "fine" if good * 2 > n else "weak",
                "sure": good % 2 == 0,
                "advice": "Look.",
                "sentence": f"{good} of {n}",
                "customers": len(mine),
                "n": n,
                "good_n": good,
                "good": share,
                "good_low": share and share * 0.9,
                "good_high": share and share * 0.9 + 0.1,
                "part": n / every if every else None,
                "all_n": every,
                "liked": 0.123456,
                **with_ends("wait", *(timedelta(seconds=x) for x in (4321, 4311, 4567))),
                **with_ends("rating", 3.4567, 3.3456, 3.6789),
                "gain": 123.456,
                "least": 101.2,
                "most": 140.1,
                "mean": 1.23456,
                **with_ends("more", 0.04567, 0.0312, 0.0678),
                "cost": 1234.56,
                "q": 0.01234,
                "last": UNTIL - timedelta(seconds=n),
            }
        )
    return Toy(table=Toy.tables["table"].frame(rows), told="toy", observed_until=UNTIL)


def with_ends(name, estimate, low, high):
    return {name: estimate, f"{name}_low": low, f"{name}_high": high}


def protected(log, *, adds_up=True) -> pl.DataFrame:
    """What would be published of a log: the rows of all selections."""
    measure = Published("toy", f"{__name__}:measure_toy", plain=("told",), adds_up=adds_up)
    found = [answer(log, where.segment) for where in CHOICES.selections()]
    exact = Answers(found[0], {"table": number_rows([one.table for one in found])}, {})
    whole = pl.DataFrame([HEAVY | {"total": 9}])
    influence = SimpleNamespace(whole=whole, at=lambda *_: whole)
    scales = SimpleNamespace(journey_map=SimpleNamespace(rating_scales=(), rating_scale=None))
    log_ = _Log(scales, influence, K)
    return _protected(measure, "table", exact, log_, CHOICES)


logs = st.lists(
    st.tuples(
        st.sampled_from(["a", "a", "a", "b", "b", "rare"]),
        st.sampled_from(["north", "north", "south", "isle"]),
        st.sampled_from(["old", "old", "new"]),
        st.integers(1, 6),
        st.integers(0, 6),
    ),
    min_size=20,
    max_size=160,
)
BASES = {"customers": 10, "n": 40, "good_n": 40, "all_n": 40}
FIGURES = ("good", "wait", "rating", "mean", "more")


# an example that fails tells enough: making it smaller would take minutes
QUICK = settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])


@QUICK
@given(logs, st.booleans())
def test_nothing_about_few_customers_is_shown(log, adds_up):
    shown = protected(log, adds_up=adds_up)
    for column, base in BASES.items():
        values = shown[column].drop_nulls()
        assert (values % base == 0).all()
        assert (values >= 2 * K).all()
    assert shown["customers"].null_count() == 0  # a row of few is not even named
    assert shown["sentence"].null_count() == shown["last"].null_count() == len(shown)
    few = shown.filter(pl.col("n").fill_null(0) < 3 * 40)
    assert few.select(FIGURES).null_count().row(0) == (len(few),) * len(FIGURES)  # dominance
    many = shown.filter(pl.col("n") >= 3 * 40)
    for row in many.iter_rows(named=True):
        step = max(0.005, 40 / row["n"])
        known = (row["good_n"] or 0) / row["n"]
        assert row["good"] == pytest.approx(known, abs=1e-4)  # nothing is open: it is the counts'
        assert row["good_low"] <= row["good"] <= row["good_high"]
        assert row["more"] / step == pytest.approx(round(row["more"] / step), abs=0.01)
        assert row["more_low"] <= 0.0312
        assert row["more_high"] >= 0.0678
        enough = row["customers"] >= 3 * 10  # what is of the customers rests on theirs
        gain, least, most = (row[name] for name in ("gain", "least", "most"))
        assert {gain is None, least is None, most is None} == {not enough}
        assert not enough or (gain % 10 == 0 and least <= 101.2 and most >= 140.1)
    ranks = [shown.filter(pl.col("_selection") == s)["place"].to_list() for s in range(4)]
    assert all(r == list(range(1, len(r) + 1)) for r in ranks)


@QUICK
@given(logs)
def test_differences_of_published_counts_are_none_or_many(log):
    shown = protected(log)
    for name in shown["name"].unique():
        at = {
            row["_selection"]: row
            for row in shown.filter(pl.col("name") == name).iter_rows(named=True)
        }
        for column, base in BASES.items():
            whole, north, south, old = ((at.get(s) or {}).get(column) or 0 for s in range(4))
            for rest in (whole - north - south, whole - north, whole - south, whole - old):
                # a value that is blank counts as none: nobody can tell it from that
                assert rest >= 0
                assert rest % base == 0


@QUICK
@given(logs)
def test_a_log_rebuilt_from_the_published_counts_is_published_the_same(log):
    """Customers as many as are published, each group's contacts spread among them."""
    shown = protected(log)
    again = protected(rebuilt(shown))
    same = ["_selection", "name", "customers"]
    assert again.select(same).rows() == shown.select(same).rows()


def rebuilt(shown: pl.DataFrame) -> list:
    """Make a log with the published numbers of customers: by region and kind, as far as told."""
    log = []
    for name in sorted(set(shown["name"])):
        at = dict(shown.filter(pl.col("name") == name).select("_selection", "customers").rows())
        whole, north, south, old = (at.get(s, 0) for s in range(4))
        regions = ["north"] * north + ["south"] * south + ["isle"] * (whole - north - south)
        olds = ["old"] * old + ["new"] * (whole - old)
        log += [(name, r, o, 3, 1) for r, o in zip(regions, olds, strict=True)]
    return log


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        (Columns(name=Label("x"), share=Share("y")), "counts the customers"),
        (Columns(n=Count("x"), wait=Wait("y", of="cases")), "cases"),
        (Columns(n=Count("x", each="clicks")), "clicks"),
    ],
)
def test_what_cannot_be_protected_is_refused(columns, missing):
    with pytest.raises(InputError, match=missing):
        check_columns(columns, "Toy.table")


def test_every_kind_of_column_has_a_rule():
    every = {c for c in vars(kinds).values() if isinstance(c, type) and issubclass(c, kinds.Column)}
    every -= {kinds.Column}
    for kind in every:
        columns = Columns(customers=Customers("seen"), it=kind("of them"))
        table = pl.DataFrame({"customers": [50], "it": [None]}, schema=columns.schema)
        assert protect(table, columns, k=K)["customers"].to_list() == [50]
    with pytest.raises(InputError, match="how a column is protected"):
        protect(table, Columns(customers=Customers("seen"), it=kinds.Column("new")), k=K)


@pytest.mark.parametrize("measure", PUBLISHED.values(), ids=lambda p: p.name)
def test_every_line_of_the_registry_can_be_derived(measure):
    assert measure.tables.keys() == measure.result.tables.keys()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return build(simulate(3, customers=160), tmp_path_factory.mktemp("derived"))


@pytest.fixture(scope="module")
def snapshot(workspace) -> Snapshot:
    return publish(workspace, k=K, answers=list(PUBLISHED))


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_read_is_what_was_measured_but_protected(workspace, snapshot, name):
    if name not in snapshot.manifest["measures"]:
        pytest.skip("the log does not allow it")
    measure = PUBLISHED[name]
    exact, shown = measure.function(workspace), snapshot.table(name)
    assert type(shown) is type(exact) is measure.result
    for field, table in measure.tables.items():
        before, after = getattr(exact, field), getattr(shown, field)
        assert after.schema == before.schema
        key = list(table.key)
        pairs = after.join(before, on=key, suffix="_exact", nulls_equal=True) if key else None
        for column, kind in table.columns.items() if pairs is not None else ():
            if isinstance(kind, Count) and column in after.columns:
                off = (pairs[column].cast(pl.Int64) - pairs[f"{column}_exact"]).abs().max()
                assert off is None or off <= 160  # a base of the heaviest, at most
    text = json.dumps([f.read_text("latin-1") for f in snapshot.folder.rglob("*.json")])
    assert "ident-" not in text


def test_perception_is_answered_by_segment(snapshot):
    everybody = snapshot.table("perception")
    assert len(everybody.table)
    assert len(everybody.scales) == 1
    north = snapshot.table("perception", segment=("region", "north"))
    assert north.scales["n"].item() < everybody.scales["n"].item()
    assert all(isinstance(s, str) for s in everybody.sentences())
    with pytest.raises(InputError, match="whole time"):
        snapshot.table("perception", period=(0, 0))
    with pytest.raises(UnknownNameError, match="isle"):
        snapshot.table("perception", segment=("region", "isle"))


def test_a_table_on_a_date_knows_its_day() -> None:
    columns = Columns(day=kinds.Day("of it"), n=Customers("seen"))
    assert is_name(columns["day"])
    assert columns.frame([{"day": date(2026, 1, 1), "n": 3}]).height == 1
