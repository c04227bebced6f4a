"""What is the same for every filter is read and fitted once, and noticed when it changes."""

from dataclasses import replace
from datetime import timedelta

import pytest
from polars.testing import assert_frame_equal
from risk_logs import walk_customers, workspace_of

from cxlib.arrivals.arrivals import count_arrivals
from cxlib.fragmentation import measure_fragmentation, read_arrivals
from cxlib.grounds import strata
from cxlib.store import Workspace
from cxlib.summary import Selection

FILTERS = [None, Selection(period=(1, 4)), Selection(channel="web")]


@pytest.fixture
def folder(tmp_path):
    log = walk_customers(1, lambda *_: 0.3, customers=1_500)
    return workspace_of(tmp_path / "ws", log).path


def test_a_change_of_filter_fits_no_strata_again(folder, monkeypatch):
    fits, fit = [], strata.fit_strata

    def spy(*args, **options):
        fits.append(1)
        return fit(*args, **options)

    monkeypatch.setattr(strata, "fit_strata", spy)
    workspace = Workspace.open(folder)
    found = [measure_fragmentation(workspace, where=FILTERS[0]).table]
    first = len(fits)
    assert first > 0
    found += [measure_fragmentation(workspace, where=where).table for where in FILTERS[1:]]
    assert len(fits) == first
    assert read_arrivals(workspace) is read_arrivals(workspace)
    for where, table in zip(FILTERS, found, strict=True):
        afresh = measure_fragmentation(Workspace.open(folder), where=where)
        assert_frame_equal(table, afresh.table, check_exact=True)
        assert len(table)


def test_arrivals_that_are_counted_anew_are_read_anew(folder):
    workspace = Workspace.open(folder)
    before = measure_fragmentation(workspace)
    other = count_arrivals(workspace, silence=timedelta(days=10))
    other.write(workspace.log_folder / "arrivals")
    again = read_arrivals(workspace)
    assert again.settings.silence == timedelta(days=10)
    assert before.arrivals.settings.silence != timedelta(days=10)
    assert_frame_equal(measure_fragmentation(workspace).table, measure_fragmentation(other).table)
    (workspace.log_folder / "arrivals" / "arrivals.json").unlink()
    assert read_arrivals(workspace).settings.silence == before.arrivals.settings.silence


def test_what_is_kept_does_not_make_workspaces_differ(folder):
    one, other = Workspace.open(folder), Workspace.open(folder)
    read_arrivals(one)
    assert one == other
    assert "kept=" not in repr(one)


def test_what_is_worked_out_of_tables_is_not_taken_for_others(folder):
    log = strata.with_strata(read_arrivals(Workspace.open(folder)))
    log.cache["of these"], log.of_log["of all"] = 1, 2
    for other in (replace(log, repeats=log.repeats.clear()), log.select(FILTERS[1])):
        assert (other.cache, other.of_log) == ({}, log.of_log)
