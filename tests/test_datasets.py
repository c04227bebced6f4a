"""The committed sample is what the seed makes, and what its truth says is in it."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter, defaultdict
from datetime import datetime
from math import sqrt
from pathlib import Path
from statistics import fmean

import pytest

import cxlib as cx
from cxlib.datasets import SamplePaths, sample_paths
from cxlib.errors import InputError
from cxlib.journey_map import read_journey_map
from cxlib.simulate.__main__ import main
from cxlib.simulate.retailer import retailer_world
from cxlib.simulate.sample import sample_texts, simulate_sample, write_sample

Rows = list[dict[str, str]]


def read(path: Path) -> Rows:
    raw = path.read_bytes()
    text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    return list(csv.DictReader(io.StringIO(text.decode())))


@pytest.fixture(scope="module")
def contacts() -> Rows:
    return read(sample_paths().contacts)


def test_the_seed_makes_the_committed_sample_again() -> None:
    paths = sample_paths()
    for name, text in sample_texts(simulate_sample()).items():
        raw = getattr(paths, name).read_bytes()
        # the packed bytes depend on the release of zlib, the texts do not
        written = gzip.decompress(raw) if name == "contacts" else raw
        assert written.decode() == text, f"{name} differs from what the seed makes"


def test_the_sample_is_small() -> None:
    paths = sample_paths()
    total = sum(getattr(paths, name).stat().st_size for name in SamplePaths.__slots__)
    assert total < 5_000_000


def test_the_truth_counts_what_is_wrong_with_the_rows(contacts: Rows) -> None:
    truth = json.loads(sample_paths().truth.read_text())
    assert len(contacts) == truth["rows"]
    assert len(contacts) - len({tuple(r.values()) for r in contacts}) == truth["duplicated_rows"]
    assert sum(not row["client"] for row in contacts) == truth["rows_without_customer"]
    years = Counter(row["when"][:4] for row in contacts)
    unreadable = sum(n for year, n in years.items() if not year.isdigit())
    assert unreadable == truth["rows_of_unreadable_date"]
    # an impossible date may have been made unreadable as well; none of the 24 was
    assert years["1970"] + years["2099"] == truth["rows_of_impossible_date"]
    robots = Counter(row["client"] for row in contacts)
    assert [client for client in truth["robots"] if robots[client] < 100] == []


def test_the_map_of_the_sample_says_what_the_world_is() -> None:
    journey_map = read_journey_map(sample_paths().journey_map)
    world = retailer_world()
    assert journey_map.stages == world.stages
    assert journey_map.journey.goal == world.goal
    assert journey_map.journey.gap == world.gap
    assert journey_map.observed_until == world.observed_until
    assert {t.name for t in journey_map.touchpoints} == set(world.names)
    for contact in world.contacts:
        touchpoint = journey_map.touchpoint(contact.name)
        for key in ("stage", "channel", "owner", "initiated_by", "repeatable", "assisted"):
            assert getattr(touchpoint, key) == getattr(contact, key), (contact.name, key)
    planned = {(p.source, p.target, p.deadline) for p in journey_map.planned_handoffs}
    assert planned == set(world.planned_handoffs)


def test_the_log_holds_only_what_the_map_knows(contacts: Rows) -> None:
    journey_map = read_journey_map(sample_paths().journey_map)
    assert {row["contact"] for row in contacts} == {t.name for t in journey_map.touchpoints}
    assert {row["via"] for row in contacts} == {t.channel for t in journey_map.touchpoints}
    assert set(journey_map.columns.values()) <= set(contacts[0])


def steps(contacts: Rows) -> dict[str, list[tuple[datetime, str]]]:
    """Clean contacts of each customer, newsletters left out, in order of time."""
    robots = set(json.loads(sample_paths().truth.read_text())["robots"])
    found: dict[str, set[tuple[datetime, str]]] = defaultdict(set)
    for row in contacts:
        if row["client"] in robots or not row["client"] or not row["when"].startswith("2025-"):
            continue
        if row["contact"] != "newsletter":
            at = datetime.strptime(row["when"], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007
            found[row["client"]].add((at, row["contact"]))
    return {customer: sorted(path) for customer, path in found.items()}


def test_the_app_basket_loses_customers_since_the_release(contacts: Rows) -> None:
    release, last = datetime(2025, 6, 12, 6), datetime(2025, 8, 31)  # noqa: DTZ001
    ends: dict[tuple[str, bool], list[bool]] = defaultdict(list)
    for path in steps(contacts).values():
        for i in range(1, len(path)):
            at, name = path[i]
            if name == "pick-up counter" and at < last and (at - path[i - 1][0]).days < 30:
                silent = i + 1 == len(path) or (path[i + 1][0] - at).days >= 30
                ends[path[i - 1][1], at >= release].append(silent)

    def excess(after: bool) -> tuple[float, float]:
        broken, sound = ends["app basket", after], ends["web basket", after]
        error = sqrt(sum(fmean(e) * (1 - fmean(e)) / len(e) for e in (broken, sound)))
        return fmean(broken) - fmean(sound), error

    before, error = excess(False)
    assert abs(before) < 4 * error
    since, error = excess(True)
    assert abs(since - 0.30) < 4 * error
    assert since > 4 * error


def test_the_return_desk_disappoints_those_who_come_from_the_portal(contacts: Rows) -> None:
    came_from = {}
    for customer, path in steps(contacts).items():
        for i in range(1, len(path)):
            if path[i][1] == "return desk":
                # an answer follows within some hours; the last visit before it is the one rated
                came_from[customer] = path[i - 1][1]
    ratings: dict[bool, list[float]] = defaultdict(list)
    for row in read(sample_paths().ratings):
        if row["touchpoint"] == "return desk" and row["customer"] in came_from:
            ratings[came_from[row["customer"]] == "return portal"].append(float(row["rating"]))
    dip = fmean(ratings[True]) - fmean(ratings[False])
    # customers with several visits blur the difference: between half of it and all of it
    assert -2.9 < dip < -1.25


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> cx.Workspace:
    """The sample with what was spent, as its map says how."""
    paths, folder = sample_paths(), tmp_path_factory.mktemp("asked")
    text = paths.journey_map.read_text()
    text = text.replace("# amount: amount_eur ", "amount: amount_eur ").replace("# join:", "join:")
    (folder / "map.yaml").write_text(text)
    log = cx.read_log(paths.contacts, paths.purchases, map=folder / "map.yaml")
    customers, ratings = paths.customers, paths.ratings
    return cx.build(log, folder / "ws", customers=customers, ratings=ratings)


def test_what_all_would_say_is_recovered_or_said_to_be_unknown(asked: cx.Workspace) -> None:
    surveys = {row["scale"]: row for row in json.loads(sample_paths().truth.read_text())["surveys"]}
    said = {row["scale"]: row for row in cx.measure_perception(asked).scales.to_dicts()}
    assert list(said) == ["csat", "nps", "ces"]
    for scale, truth in surveys.items():
        # who is pleased answers more often: by half a point of the scale and more
        assert truth["heard"] - truth["mean"] > 0.5
        # an answer after the end of the log, or to a contact that was set aside, is not in it
        assert said[scale]["n"] == pytest.approx(truth["answers"], rel=0.1)
        assert said[scale]["mean"] == pytest.approx(truth["heard"], abs=0.05)
    # who waited is less pleased, and the log knows who waited: the mean of all is in the interval
    assert said["nps"]["depends"]
    assert said["nps"]["tilted_low"] <= surveys["nps"]["mean"] <= said["nps"]["tilted_high"]
    # nothing that was logged goes with the effort: that is said, and no mean is told
    assert said["ces"]["depends"] is None
    assert said["ces"]["tilted"] is None
    assert "cannot be told" in said["ces"]["sentence"]


def test_comments_are_in_two_languages_and_of_what_was_rated(asked: cx.Workspace) -> None:
    spoken = cx.measure_comments(asked)
    assert dict(spoken.languages.select("language", "n").rows()).keys() == {"en", "de"}
    assert spoken.languages["n"].min() > 1_000
    said = defaultdict(set)
    for row in read(sample_paths().ratings):
        said[row["touchpoint"]] |= {row["comment"]} - {""}
    words = ("return", "refund", "desk", "label", "retoure", "rücksendung", "erstattung")
    words += ("schalter", "etikett")
    of_returns = [any(w in c.lower() for w in words) for c in said["return desk"]]
    assert len(of_returns) > 15
    assert all(of_returns)
    assert said["return desk"].isdisjoint(said["app browsing"])


def test_what_was_spent_again_is_what_loyalty_says(asked: cx.Workspace) -> None:
    """By hand: mean amount after the first goal, of who was followed for 90 days."""
    spent = defaultdict(list)
    for row in read(sample_paths().purchases):
        spent[row["client"]].append((row["when"], float(row["amount_eur"])))
    assert len(spent) > 5_000
    several = fmean(len(bought) > 1 for bought in spent.values())
    found = cx.measure_loyalty(asked, days=[90]).table
    whole = found.filter(by="all", outcome="repeat_goal").row(0, named=True)
    assert 0 < whole["share"] < several + 0.1
    mean = fmean(amount for bought in spent.values() for _, amount in bought)
    # who comes back in a journey of his own spends about one mean amount, or some of them
    assert 0.8 * whole["share"] * mean < whole["value"] < 2.5 * whole["share"] * mean


def test_any_size_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--customers", "500", "--seed", "3", "--out", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6
    paths = sample_paths(tmp_path)
    assert json.loads(paths.truth.read_text())["customers"] == 500
    first = paths.contacts.read_bytes()
    write_sample(tmp_path, customers=500, seed=3)
    assert paths.contacts.read_bytes() == first
    write_sample(tmp_path, customers=500, seed=4)
    assert paths.contacts.read_bytes() != first


def test_an_absent_sample_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lacks contacts.csv.gz.*python -m cxlib.simulate"):
        sample_paths(tmp_path)
