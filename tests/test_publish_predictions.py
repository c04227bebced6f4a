"""Published predictions: nothing about few customers, no id, and what is shown is what was said."""

import polars as pl
import pytest
from risk_logs import walk_customers, workspace_of

from cxlib.errors import WorkspaceError
from cxlib.prediction import predict_breaks
from cxlib.publish import Snapshot, publish
from cxlib.publish.answers import SELECTIONS
from cxlib.publish.write import check_snapshot

K = 10


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    log = walk_customers(4, lambda source, here, day: 0.75 if int(day) % 7 < 3 else 0.1)
    return workspace_of(tmp_path_factory.mktemp("published") / "ws", log)


@pytest.fixture(scope="module")
def snapshot(workspace):
    return publish(workspace, k=K, answers=["touchpoints", "predictions"])


def test_figures_are_about_at_least_k_customers_and_close_to_the_truth(workspace, snapshot):
    found = snapshot.predictions()
    exact = predict_breaks(workspace)
    truth = {(row["touchpoint"], row["channel"]): row for row in exact.under_way.to_dicts()}
    assert len(found.under_way)
    for row in found.under_way.to_dicts():
        people = truth[row["touchpoint"], row["channel"]]
        assert row["customers"] % K == 0
        assert row["customers"] >= 2 * K
        assert abs(row["customers"] - people["customers"]) <= K / 2
        if row["risk_now"] is not None:
            assert abs(row["risk_now"] - people["risk_now"]) <= K / row["customers"]
    assert found.customers_under_way % K == 0
    assert abs(found.customers_under_way - exact.customers_under_way) <= K / 2
    assert found.horizon == exact.horizon
    tested = found.record.filter(about="customers under way")
    assert ((tested["n"] % K == 0) & (tested["n"] >= 2 * K)).all()
    assert 0 < tested["error"][-1] < 0.25
    assert found.customers.is_empty()
    assert found.record_sentences


def test_no_file_names_a_customer(workspace, snapshot):
    ids = set(workspace.customers().select("name").collect().to_series())
    files = list(snapshot.folder.glob("predictions.*.parquet"))
    assert len(files) == 3
    for file in files:
        frame = pl.read_parquet(file)
        assert "customer" not in frame.columns
        for column in (c for c, dtype in frame.schema.items() if dtype == pl.String):
            assert not ids & set(frame[column].drop_nulls())
    assert any("prediction" in check for check in snapshot.manifest["checks"])


def test_the_check_refuses_small_groups(workspace, snapshot, tmp_path):
    for file in (*snapshot.folder.glob("predictions.*"), snapshot.folder / SELECTIONS):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "predictions.under_way.parquet"
    bad = pl.read_parquet(path).with_columns(customers=pl.lit(7, pl.UInt32))
    bad.write_parquet(path)
    ids = workspace.customers().select("name").collect().to_series()
    with pytest.raises(WorkspaceError, match="fewer than 10 customers"):
        check_snapshot(tmp_path, [], ["predictions"], ids, None, k=K)


def test_a_snapshot_without_predictions_says_so(workspace):
    plain = publish(workspace, k=K, answers=["touchpoints"])
    with pytest.raises(WorkspaceError, match="holds no predictions"):
        Snapshot.open(plain.folder).predictions()


def test_a_log_without_any_forecast_is_published_with_its_reason(tmp_path):
    log = walk_customers(1, lambda source, here, day: 0.4, customers=60, days=60)
    found = publish(
        workspace_of(tmp_path / "ws", log, days=60), k=K, answers=["predictions"]
    ).predictions()
    assert found.table.is_empty()
    assert found.under_way.is_empty()
    assert found.handoff_reason
    assert not any(sign.isdigit() for sign in found.handoff_reason + found.customer_reason)
