"""Published findings: no figure, and no difference of figures, is about a few people."""

import figure_findings as results
import polars as pl
import pytest

from cxlib.errors import WorkspaceError
from cxlib.fragmentation.details import FindingDetails
from cxlib.fragmentation.sentences import headline
from cxlib.publish.answers import NUMBER, read_answer, write_answers, write_selections
from cxlib.publish.judged import protect_details
from cxlib.publish.write import check_snapshot
from cxlib.summary import Selection

K = 10
BASE = 30  # ten customers who count three times each


@pytest.fixture(scope="module")
def safe():
    return protect_details(results.details(), k=K, spread=10.0)


def test_counts_are_multiples_of_more_than_nine_customers_add(safe):
    table = safe["table"]
    assert (table["n"] % BASE).to_list() == [0] * len(table)
    assert (table["customers"] % K).to_list() == [0] * len(table)
    affected = table["customers_affected"].drop_nulls()
    assert (affected % K == 0).all()
    assert (affected >= K).all()
    trend = safe["trend"]
    assert (trend["n"].drop_nulls() % BASE == 0).all()


def test_shares_move_in_steps_of_ten_customers_and_intervals_widen(safe):
    exact = results.details().table.filter(pl.col("unit").str.starts_with("share")).to_dicts()
    shown = safe["table"].filter(pl.col("unit").str.starts_with("share")).to_dicts()
    assert len(shown) == len(exact) == 3
    for a, b in zip(exact, shown, strict=True):
        step = max(K / b["customers"], 0.005)
        for name in ("observed", "expected", "effect", "low", "high"):
            assert abs(b[name] / step - round(b[name] / step)) < 0.02, name
        assert b["low"] <= a["low"] + 1e-4
        assert b["high"] >= a["high"] - 1e-4
        assert abs(a["effect"] - b["effect"]) <= step / 2 + 1e-4


def test_times_keep_two_digits_and_q_one(safe):
    delay = safe["table"].filter(pl.col("signal") == "delay").row(0, named=True)
    assert (delay["observed"], delay["effect"], delay["q"]) == (30.0, 3.0, 0.0004)


def test_who_answered_is_as_coarse_as_the_mean_it_stands_beside(safe):
    dip = safe["table"].filter(pl.col("signal") == "perception_dip").row(0, named=True)
    step = K / dip["customers"]
    assert abs(dip["response"] / step - round(dip["response"] / step)) < 0.02
    assert abs(dip["response"] - 0.31) <= step / 2
    assert dip["weighted_low"] <= -2.95 < -1.65 <= dip["weighted_high"]
    assert dip["weighted_high"] - dip["weighted_low"] > 1.5
    assert f"({100 * dip['response']:.0f} % answered)" in dip["sentence"]
    others = safe["table"].filter(pl.col("signal") != "perception_dip")
    assert others.select("response", "weighted").null_count().row(0) == (5, 5)


def test_sentences_are_made_from_rounded_figures_only(safe):
    said = safe["table"].filter(pl.col("signal") == "abandonment", "finding")["sentence"][0]
    row = safe["table"].filter(pl.col("signal") == "abandonment", "finding").row(0, named=True)
    assert f"{K * round(row['n'] * row['effect'] / K):,} customers" in said
    assert not [s for s in safe["table"]["sentence"].drop_nulls() if "(95 %: 1 to 2)" in s]


def test_findings_of_all_grounds_are_published_in_rounded_words(safe):
    bands = safe["bands"]
    exact = results.details().bands
    assert (len(bands), bands["ground"].to_list().count("past")) == (len(exact), 1)
    past = bands.filter(ground="past").row(0, named=True)
    assert (past["n"] % BASE, past["customers"], past["customers_affected"]) == (0, 640, 120)
    more = K * round(past["n"] * past["effect"] / K)
    assert past["sentence"].startswith(f"till (region: east) loses {more} customers more than")
    few = exact.with_columns(customers=pl.lit(9))
    assert protect_details(results.details(bands=few), k=K, spread=10.0)["bands"].is_empty()


def test_what_is_described_is_said_from_rounded_numbers(safe):
    wait = safe["described"].row(0, named=True)
    assert (wait["n"] % BASE, wait["observed"]) == (0, 30.0)
    assert wait["sentence"].startswith("product page → shop visit takes 30 hours (median; ")
    few = results.details().described.with_columns(customers=pl.lit(9))
    assert protect_details(results.details(described=few), k=K, spread=10.0)["described"].is_empty()


@pytest.mark.parametrize(("low", "shown"), [(0.101, False), (0.30, True)])
def test_a_difference_of_groups_that_rounding_could_have_made_is_not_described(low, shown):
    """Of 90 customers a share is told in steps of 11 points: 10 % and 10.1 % are then the same."""
    row = {"kind": "group difference", "signal": "abandonment", "unit": "share", "source": "till"}
    row |= {"n": 90, "customers": 90, "group": "region", "value": "east", "sentence": "exact"}
    row |= {"observed": 0.4, "low": low, "high": 0.5, "expected": 0.1, "compared_with": "others"}
    given = results.details().described
    described = pl.DataFrame([row], schema=given.schema)
    safe = protect_details(results.details(described=described), k=K, spread=10.0)["described"]
    assert len(safe) == shown
    assert all(row["low"] > row["expected"] for row in safe.to_dicts())


def test_every_place_that_a_finding_names_is_known_though_no_handoff_is_shown():
    given = results.details()
    safe = protect_details(results.details(table=given.table.clear()), k=K, spread=10.0)
    ends = {
        int(end) for name in ("source_place", "target_place") for end in safe["bands"][name]
    } - {-1}
    assert ends
    assert ends <= {*safe["places"]["place"]}


def test_one_sentence_for_all_surfaces_also_from_what_is_published(safe):
    given = {n: safe[n] for n in ("table", "bands", "described")}
    published = headline(results.details(**given))
    assert published.kind == "finding"
    leave = pl.col("signal") == "abandonment"
    bands = given["bands"].sort(~leave, maintain_order=True)  # where they leave comes first
    assert published.sentence == bands["sentence"].drop_nulls()[0]
    assert published.table["ground"].to_list() == bands["ground"].to_list()
    first = pl.int_range(pl.len()) == 0
    until = pl.when(first).then(pl.date(2026, 8, 1)).alias("affected_until")
    mended = headline(results.details(**given | {"bands": bands.with_columns(until)}))
    assert mended.sentence == bands["sentence"][1:].drop_nulls()[0], "what is mended comes last"
    quiet = headline(results.nothing())
    assert (quiet.kind, quiet.sentence) == ("described", "exact")
    silent = headline(results.nothing("the log has 80 customers, fewer than 100"))
    assert silent.kind == "nothing"
    assert "80 customers" in silent.sentence


def test_handoffs_of_fewer_than_ten_customers_are_not_there():
    rare = list(results.ROWS)
    rare[1] = (2, 3, "abandonment", 29, *results.ROWS[1][4:])  # 9 customers
    given = results.details(tuple(rare))
    safe = protect_details(given, k=K, spread=10.0)
    assert len(safe["table"]) == 5
    keys = {(r["source_place"], r["target_place"]) for r in safe["table"].to_dicts()}
    assert (2, 3) not in keys
    assert safe["curves"].filter(pl.col("source_place") == 2)["observed"].drop_nulls().is_empty()


def test_a_period_of_few_customers_is_not_there():
    given = results.details()
    few = given.trend.with_columns(customers=pl.Series([90, 9, 20, 40]))
    safe = protect_details(results.details(trend=few), k=K, spread=10.0)
    assert few["period"][1] not in safe["trend"]["period"].to_list()
    assert len(safe["trend"]) == 3


def test_what_is_no_known_unit_is_not_published():
    given = results.details()
    odd = given.table.with_columns(unit=pl.lit("euros per customer"))
    assert protect_details(results.details(table=odd), k=K, spread=10.0)["table"].is_empty()


def write(folder, frames):
    below = {n: f.with_columns(pl.lit(0, pl.UInt32).alias(NUMBER)) for n, f in frames.items()}
    given = results.details()
    others = {n: getattr(given, n) for n in ("tests", "customers", "silence", "observed_until")}
    write_answers(folder, "findings", below, [others])
    write_selections(folder, [Selection()])


def read(folder, segment=None):
    where = Selection(segment=segment)
    return read_answer(folder, "findings", FindingDetails, 0, where)


def check(folder, ids):
    return check_snapshot(folder, [], ["findings"], pl.Series(ids), None, k=K)


def test_findings_are_read_back_as_they_were_written(safe, tmp_path):
    write(tmp_path, safe)
    assert "at least 10 customers" in check(tmp_path, ["c1"])[-1]
    found = read(tmp_path, ("region", "east"))
    assert found.table.equals(safe["table"])
    assert found.where.segment == ("region", "east")
    assert found.found["signal"][0] == "delay"


def test_the_check_notices_small_figures_and_ids(safe, tmp_path):
    write(tmp_path, safe | {"table": safe["table"].with_columns(customers=pl.lit(7))})
    with pytest.raises(WorkspaceError, match="fewer than 10 customers"):
        check(tmp_path, ["c1"])
    write(tmp_path, safe)
    with pytest.raises(WorkspaceError, match="customers' ids"):
        check(tmp_path, ["product page"])


def test_a_snapshot_without_findings_says_what_to_do(tmp_path):
    with pytest.raises(WorkspaceError, match="publish again"):
        read(tmp_path)
