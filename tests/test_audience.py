"""Audiences: written once, never where it is published, and what came of them counted by hand."""

from datetime import timedelta
from random import Random

import polars as pl
import pytest
from journey_oracle import START, contact, journey_map, make_workspace

from cxlib.audience import LOG, measure_audience, write_audience
from cxlib.errors import InputError


def first_contacts(customers):
    return [contact(name, i / 10, "page") for i, name in enumerate(customers)]


def workspace(folder, log, *, days):
    return make_workspace(folder, log, rule=journey_map(until=START + timedelta(days=days)))


CUSTOMERS = [*(f"c{i:03}" for i in range(398)), "=1+1", "NA"]


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    return workspace(tmp_path_factory.mktemp("a") / "ws", first_contacts(CUSTOMERS), days=41)


def chosen(customers=CUSTOMERS):
    return pl.DataFrame({"customer": customers[:300] + customers[-2:], "share": 0.9})


def test_what_came_of_it_is_counted_and_the_lot_shows_what_the_address_did(before, tmp_path):
    """Half are addressed: 60 % of these come again, 20 % of those held back and of the others."""
    file = tmp_path / "phone.csv"
    assert write_audience(before, chosen(), file, name="phone", hold_back=0.5) == 151
    addressed = set(pl.read_csv(file, infer_schema=False)["customer"].str.strip_prefix("'"))
    held_file = tmp_path / "phone.held-back.csv"
    held = set(pl.read_csv(held_file, infer_schema=False)["customer"].str.strip_prefix("'"))
    assert addressed | held == {*chosen()["customer"]}
    assert not addressed & held
    dice, log, back = Random(2), first_contacts(CUSTOMERS), set()
    for name in CUSTOMERS:
        if dice.random() < (0.6 if name in addressed else 0.2):
            back.add(name)
            log.append(contact(name, dice.uniform(45, 80), "ad"))
        log.append(contact(name, 50, "newsletter"))  # sent by the company: nobody came for it
    log.append(contact("a new one", 60, "page"))
    found = measure_audience(workspace(tmp_path / "ws", log, days=90), file=file)
    rows = {r["group"]: r for r in found.table.to_dicts() if r["outcome"] == "contact"}
    others = {*CUSTOMERS} - addressed - held
    for group, members in (("addressed", addressed), ("held back", held), ("others", others)):
        assert rows[group]["n"] == len(members)
        assert rows[group]["events"] == len(members & back)
    difference = rows["held back"]["difference"]
    assert difference == pytest.approx(rows["addressed"]["share"] - rows["held back"]["share"])
    assert rows["held back"]["difference_low"] <= 0.4 <= rows["held back"]["difference_high"]
    assert "drawn by lot" in found.sentences()[0]
    assert found.missing == 0


def test_without_anybody_held_back_nothing_is_owed_to_the_address(before, tmp_path):
    file = tmp_path / "all.csv"
    gone = chosen([*CUSTOMERS[:299], "nobody", *CUSTOMERS[300:]])
    write_audience(before, gone, file, name="all")
    found = measure_audience(
        workspace(tmp_path / "w", first_contacts(CUSTOMERS), days=60), file=file
    )
    assert found.missing == 1
    assert "does not show" in found.sentences()[0]
    with pytest.raises(InputError, match="read a newer one"):
        measure_audience(before, file=file)


def test_every_file_is_noted_once_in_the_log_beside_it(before, tmp_path):
    write_audience(before, chosen(), tmp_path / "a.csv", name="a, b")
    write_audience(before, chosen(), tmp_path / "b.csv", name="b")
    log = pl.read_csv(tmp_path / LOG, infer_schema=False)
    assert log.select("file", "audience", "customers").rows() == [
        ("a.csv", "a, b", "302"),
        ("b.csv", "b", "302"),
    ]
    with pytest.raises(InputError, match="exists"):
        write_audience(before, chosen(), tmp_path / "a.csv", name="a")
    assert len(pl.read_csv(tmp_path / LOG)) == 2


@pytest.mark.parametrize("shown", ["published/x", "site/deeper"])
def test_no_folder_that_is_published_takes_ids(before, tmp_path, shown):
    folder = tmp_path / shown
    folder.mkdir(parents=True)
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site" / "index.html").touch()
    with pytest.raises(InputError, match="is published"):
        write_audience(before, chosen(), folder / "a.csv", name="a")
    assert not any(folder.iterdir())


def test_what_cannot_be_meant_is_refused(before, tmp_path):
    with pytest.raises(InputError, match="nobody is in"):
        write_audience(before, chosen().clear(), tmp_path / "a.csv", name="a")
    with pytest.raises(InputError, match="hold_back=2"):
        write_audience(before, chosen(), tmp_path / "a.csv", name="a", hold_back=2)
    with pytest.raises(InputError, match="make it first"):
        write_audience(before, chosen(), tmp_path / "no" / "a.csv", name="a")
    with pytest.raises(InputError, match=f"no such file with {LOG}"):
        measure_audience(before, file=tmp_path / "a.csv")
