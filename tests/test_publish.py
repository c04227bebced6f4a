"""Published snapshots: recounted from the log, attacked by subtraction, searched for customers."""

import json
import random
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path

import polars as pl
import pytest
from publish_log import COMMENT, START, build

from cxlib.columns import Columns, Customers, Label
from cxlib.errors import InputError, UnknownNameError, WorkspaceError
from cxlib.measures.touchpoints import measure_touchpoints
from cxlib.opportunities.priorities import Priorities
from cxlib.publish import Snapshot, publish
from cxlib.publish import write as publish_write
from cxlib.publish.answers import NUMBER, read_answer
from cxlib.publish.influence import fold_rare_touchpoints, measure_influence
from cxlib.publish.small_groups import protect, rounding_base
from cxlib.publish.snapshot import CURRENT, FOLDER
from cxlib.store import Workspace
from cxlib.summary import Selection

K = 10


def simulate_rows() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Some 190 customers in three months; among them few of a kind, and few who come very often."""
    draw = random.Random(7)
    rows, people = [], []
    for number in range(190):
        who = f"ident-{number:04d}-{draw.randrange(10**6):06d}"
        region = "south" if number % 3 else "north"
        if number < 4:
            region = "isle"  # fewer than k: not a segment to choose, yet part of everybody
        kind = "old" if number >= 6 else "new"  # all but six
        people.append({"customer": who, "region": region, "kind": kind})
        contacts = 45 if number in (5, 17) else draw.randrange(1, 7)
        at = START + timedelta(days=draw.uniform(0, 60))
        for _ in range(contacts):
            what = draw.choice(["advert", "visit", "visit", "basket", "payment"])
            if number in (8, 9, 10) and draw.random() < 0.5:
                what = "call of Mrs Rare"
            rows.append(
                {
                    "who": who,
                    "at": at.isoformat(timespec="seconds"),
                    "what": what,
                    "via": draw.choice(["web", "shop"]),
                    "stars": str(draw.randrange(1, 6)) if draw.random() < 0.3 else "",
                    "said": f"{COMMENT}-{number}" if draw.random() < 0.1 else "",
                }
            )
            at += timedelta(hours=draw.uniform(0.1, 120))
    last = START + timedelta(days=89)
    return [r for r in rows if datetime.fromisoformat(r["at"]) < last], people


@pytest.fixture(scope="module")
def log() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    return simulate_rows()


@pytest.fixture(scope="module")
def workspace(log, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build(log, tmp_path_factory.mktemp("small_shop"))


@pytest.fixture(scope="module")
def snapshot(workspace: Workspace) -> Snapshot:
    return publish(workspace, k=K)


def selections(snapshot: Snapshot):
    count = len(snapshot.periods)
    ranges = [None, *((a, b) for a in range(count) for b in range(a, count) if b - a + 1 < count)]
    return [
        {"segment": segment, "period": period}
        for segment in (None, *snapshot.segments)
        for period in ranges
    ]


def rows_of(log, snapshot: Snapshot, segment, period) -> list[dict[str, str]]:
    """The rows of a selection, plainly: the oracle."""
    rows, people = log
    segment_of = {p["customer"]: p for p in people}
    bounds = [*(p.isoformat() for p in snapshot.periods), "9999"]
    first, last = period or (0, len(snapshot.periods) - 1)
    return [
        r
        for r in rows
        if bounds[first] <= r["at"][:10] < bounds[last + 1]
        and (segment is None or segment_of[r["who"]][segment[0]] == segment[1])
    ]


def customers_by_place(rows) -> dict[tuple[str, str], set[str]]:
    found = defaultdict(set)
    for row in rows:
        found[row["what"], row["via"]].add(row["who"])
    return found


def round_to(count: int, base: int) -> int | None:
    return (count + base // 2) // base * base or None


def test_customers_are_the_recounted_ones_rounded(log, snapshot: Snapshot) -> None:
    hidden = 0
    for where in selections(snapshot):
        exact = customers_by_place(rows_of(log, snapshot, **where))
        for row in snapshot.touchpoints(**where).table.iter_rows(named=True):
            true = len(exact[row["touchpoint"], row["channel"]])
            if where["segment"] is None and (where["period"] or (0, 0))[0] == 0:
                assert row["customers"] == (round_to(true, K) if true >= 15 else None)
            # In other parts the steps of their parts add up: within three of them.
            assert abs((row["customers"] or K) - true) <= 3 * K
            hidden += row["customers"] is None
    assert hidden > 10, "the log must put the rule to the test"


def test_no_difference_is_about_fewer_than_k(log, snapshot: Snapshot) -> None:
    tested = 0
    figures: dict[tuple[str, str], list[int]] = defaultdict(list)
    for where in selections(snapshot):
        for row in snapshot.touchpoints(**where).table.iter_rows(named=True):
            figures[row["touchpoint"], row["channel"]].append(row["customers"] or 0)
        figures["all", "all"].append(snapshot.touchpoints(**where).customers)
        for row in snapshot.stage_funnel(**where).table.iter_rows(named=True):
            figures["stage", row["stage"]].append(row["customers"] or 0)
    for counts in figures.values():
        for one, other in combinations(counts, 2):
            assert not 0 < abs(one - other) < K
            tested += 1
    assert tested > 1000


def contacts_by_customer(rows) -> dict[tuple[str, str], Counter[str]]:
    found = defaultdict(Counter)
    for row in rows:
        found[row["what"], row["via"]][row["who"]] += 1
    return found


def test_contacts_hide_the_heaviest_customers(log, workspace, snapshot: Snapshot) -> None:
    """The attack that plain rounding does not stand: one customer with very many contacts."""
    everywhere = contacts_by_customer(log[0])
    heaviest = {
        place: sum(sorted(c.values(), reverse=True)[: K - 1]) for place, c in everywhere.items()
    }
    answers = {
        (where["segment"], where["period"]): {
            (row["touchpoint"], row["channel"]): row["contacts"] or 0
            for row in snapshot.touchpoints(**where).table.iter_rows(named=True)
        }
        for where in selections(snapshot)
    }
    exact = {key: contacts_by_customer(rows_of(log, snapshot, *key)) for key in answers}
    telling = 0
    for one, other in combinations(answers, 2):
        for place in answers[one]:
            difference = abs(answers[one][place] - answers[other][place])
            assert difference == 0 or difference > heaviest[place]
            apart = exact[one][place] - exact[other][place]
            telling += 0 < len(apart) < K and sum(apart.values()) >= K
    assert telling > 5, "the log must hold groups that plain rounding would give away"


def test_influence_is_the_sum_of_the_heaviest(log, workspace) -> None:
    influence = measure_influence(fold_rare_touchpoints(workspace, k=K), k=K)
    name = {
        r["place"]: (r["touchpoint"], r["channel"]) for r in workspace.places.iter_rows(named=True)
    }
    exact = contacts_by_customer(log[0])
    for place, contacts in influence.rows["places"].select("place", "contacts").iter_rows():
        top = sorted(exact[name[place]].values(), reverse=True)[: K - 1]
        assert contacts == sum(top)
    total = Counter(r["who"] for r in log[0])
    assert influence.whole["contacts"].item() == sum(n for _, n in total.most_common(K - 1))
    bases = influence.rows["places"].select(rounding_base(pl.col("contacts"), k=K)).to_series()
    assert (bases > influence.rows["places"]["contacts"]).all()


def test_shares_stand_for_k_customers_or_are_withheld(workspace, snapshot: Snapshot) -> None:
    shown = withheld = 0
    for where in selections(snapshot):
        for row in snapshot.touchpoints(**where).table.iter_rows(named=True):
            for share in ("go_on", "lost", "silent", "declined", "done", "open"):
                value = row[share]
                if value is None:
                    withheld += 1
                    continue
                shown += 1
                people = value * row["customers"]
                assert value == 0 or people >= K - 0.01
                assert value == 1 or row["customers"] - people >= K - 0.01
                assert row[f"{share}_low"] <= value <= row[f"{share}_high"]
    assert shown > 100
    assert withheld > 50


def test_a_row_of_few_looks_like_a_row_of_none(log, snapshot: Snapshot) -> None:
    labels = {"place", "stage", "touchpoint", "channel", "owner"}
    places = snapshot.touchpoints().table.select(sorted(labels))
    for where in selections(snapshot):
        table = snapshot.touchpoints(**where).table
        assert table.select(sorted(labels)).equals(places)
        for row in table.filter(pl.col("customers").is_null()).iter_rows(named=True):
            assert all(value is None for name, value in row.items() if name not in labels)


def test_rare_names_are_not_published(snapshot: Snapshot) -> None:
    assert ("region", "isle") not in snapshot.segments
    assert ("kind", "new") not in snapshot.segments
    assert ("kind", "old") in snapshot.segments, "its complement is small: rounding must hide it"
    assert "call of Mrs Rare" not in snapshot.touchpoints().table["touchpoint"].to_list()


def every_byte(folder: Path) -> bytes:
    """All files as they lie on disk, and what compressed ones hold."""
    parts = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        parts.append(path.name.encode() + b"\n" + path.read_bytes())
        if path.suffix == ".parquet":
            parts.append(pl.read_parquet(path).write_ndjson().encode())
    return b"\n".join(parts)


def test_no_byte_is_about_a_single_customer(log, snapshot: Snapshot, workspace) -> None:
    rows, people = log
    published = every_byte(snapshot.folder)
    assert b"visit" in published
    for person in people:
        assert person["customer"].encode() not in published
    for secret in (COMMENT, "Mrs Rare", "isle", str(workspace.path.parent)):
        assert secret.encode() not in published
    assert any(r["said"] for r in rows)
    assert b"ident-" in every_byte(workspace.path), "the search finds ids where there are some"


def test_answers_come_back_as_the_measures_give_them(workspace, snapshot: Snapshot) -> None:
    exact, read = measure_touchpoints(workspace.summary()), snapshot.touchpoints()
    assert type(read) is type(exact)
    assert read.table.schema == exact.table.schema
    day = exact.observed_until.replace(hour=0, minute=0, second=0, microsecond=0)
    assert read.observed_until <= day, "a day, and not the instant of somebody's last contact"
    whole = snapshot.touchpoints(period=(0, len(snapshot.periods) - 1))
    assert whole.table.equals(read.table), "all periods are no filter"
    assert snapshot.transitions().table["n"].min() >= K
    assert snapshot.first_contacts().whole.height == 1
    assert snapshot.stage_funnel().table["stage"].to_list() == ["awareness", "conversion"]
    with pytest.raises(UnknownNameError, match="region: west"):
        snapshot.touchpoints(segment=("region", "west"))
    with pytest.raises(InputError, match=r"periods \(2, 9\) are not among"):
        snapshot.touchpoints(period=(2, 9))


def test_the_manifest_says_what_it_was_made_from(snapshot: Snapshot) -> None:
    manifest = snapshot.manifest
    assert manifest["sources"] == ["log.csv"]
    assert manifest["journey_map"]["name"] == "Small shop"
    assert manifest["customers"] == 190
    assert manifest["k"] == K
    assert len(manifest["checks"]) >= 3
    assert "Data to" in snapshot.line()


def test_a_column_that_is_not_declared_is_refused() -> None:
    table = pl.DataFrame({"touchpoint": ["visit"], "customers": [50], "surprise": [3]})
    columns = Columns(touchpoint=Label("its name"), customers=Customers("seen"))
    with pytest.raises(InputError, match="surprise"):
        protect(table, columns, k=K)


def test_a_snapshot_that_fails_is_not_served(workspace, snapshot: Snapshot, monkeypatch) -> None:
    served = Snapshot.open(workspace.path)

    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(workspace, k=K, views={"journey_map": interrupt}, answers=["touchpoints"])

    def leak(frame: pl.DataFrame, columns: object, **_: object) -> pl.DataFrame:
        return frame

    monkeypatch.setattr(publish_write, "protect", leak)
    with pytest.raises(WorkspaceError, match="could tell on fewer than 10 customers"):
        publish(workspace, k=K, answers=["touchpoints"])
    assert Snapshot.open(workspace.path) == served
    published = workspace.path / FOLDER
    assert not [p for p in published.iterdir() if p.name.startswith(".")], "nothing is left behind"


def test_a_half_written_snapshot_is_not_served(workspace, snapshot: Snapshot, tmp_path) -> None:
    published = tmp_path / FOLDER
    half = published / "20300101T000000Z"
    half.mkdir(parents=True)
    assert Snapshot.newest(tmp_path) is None
    (published / CURRENT).write_text("20300101T000000Z\n")
    assert Snapshot.newest(tmp_path) is None, "its manifest is written last"
    (half / "manifest.json").write_text('{"format": 1, "na')
    assert Snapshot.newest(tmp_path) is None
    (published / CURRENT).write_text("../../elsewhere\n")
    with pytest.raises(WorkspaceError, match="nothing is published"):
        Snapshot.open(tmp_path)


def test_older_snapshots_stay_readable(workspace, snapshot: Snapshot) -> None:
    views = {"journey_map": lambda s: f"<h1>{s.manifest['name']}</h1>"}
    newer = publish(workspace, k=20, views=views, answers=["touchpoints"])
    try:
        assert Snapshot.open(workspace.path).folder == newer.folder
        assert newer.first_paint("journey_map") == "<h1>Small shop</h1>"
        assert newer.first_paint("other") is None
        older = Snapshot.open(snapshot.folder)
        assert older.k == K
        assert older.touchpoints().table.equals(snapshot.touchpoints().table)
    finally:
        (workspace.path / FOLDER / CURRENT).write_text(snapshot.folder.name + "\n")


def test_groups_smaller_than_three_are_no_protection(workspace) -> None:
    with pytest.raises(InputError, match="k is 2"):
        publish(workspace, k=2)


def test_an_id_among_the_names_is_noticed(workspace, log, monkeypatch) -> None:
    customers = Workspace.customers
    named = pl.lit("visit").alias("name")
    monkeypatch.setattr(Workspace, "customers", lambda self: customers(self).with_columns(named))
    with pytest.raises(WorkspaceError, match="customers' ids"):
        publish(workspace, k=K, answers=["touchpoints"])


def test_manifest_is_plain_json(snapshot: Snapshot) -> None:
    text = (snapshot.folder / "manifest.json").read_text()
    written = json.loads(text)
    assert len(written.pop("sha256")) == 64
    assert written == snapshot.manifest


def test_an_answer_of_another_version_asks_to_publish_again(tmp_path):
    (tmp_path / "priorities.json").write_text('[{"findings": 1, "gone": "since"}]')
    with pytest.raises(WorkspaceError, match=r"another version of cxlib; publish again"):
        read_answer(tmp_path, "priorities", Priorities, 0, Selection())


def test_so_does_one_whose_columns_were_others(tmp_path):
    (tmp_path / "priorities.json").write_text('[{"findings": 1, "observed_until": null}]')
    old = pl.DataFrame({NUMBER: [0], "rank": [1]}, schema_overrides={NUMBER: pl.UInt32})
    old.write_parquet(tmp_path / "priorities.table.parquet")
    with pytest.raises(WorkspaceError, match=r"another version of cxlib; publish again"):
        read_answer(tmp_path, "priorities", Priorities, 0, Selection())
