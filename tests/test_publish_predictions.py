"""Published predictions: nothing about few customers, no id, and what is shown is what was said."""

import polars as pl
import pytest
from risk_logs import walk_customers, workspace_of

from cxlib.errors import WorkspaceError
from cxlib.fragmentation import predict_journey_risk
from cxlib.publish import Snapshot, publish
from cxlib.publish.predictions import check_predictions

K = 10


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    log = walk_customers(2, lambda source, here, day: {"page": 0.2, "visit": 0.6}.get(here, 0.4))
    return workspace_of(tmp_path_factory.mktemp("published") / "ws", log)


@pytest.fixture(scope="module")
def snapshot(workspace):
    return publish(workspace, k=K, answers=["touchpoints", "predictions"])


def test_figures_are_about_at_least_k_customers_and_close_to_the_truth(workspace, snapshot):
    found = snapshot.predictions()
    exact = predict_journey_risk(workspace)
    summed = exact.handoffs.group_by("touchpoint", "channel").agg(
        pl.col("customers").sum(), pl.col("expected").sum()
    )
    truth = {(row["touchpoint"], row["channel"]): row for row in summed.to_dicts()}
    assert len(found.touchpoints)
    for row in found.touchpoints.to_dicts():
        people = truth[row["touchpoint"], row["channel"]]
        assert row["customers"] % K == 0
        assert row["customers"] >= 2 * K
        assert abs(row["customers"] - people["customers"]) <= K / 2
        if row["risk_now"] is not None:
            share = people["expected"] / people["customers"]
            assert abs(row["risk_now"] - share) <= K / row["customers"]
    assert found.customers % K == 0
    assert abs(found.customers - len(exact.table)) <= K / 2
    assert found.horizon == exact.horizon
    for frame in (found.handoffs, found.by_risk, found.under_way):
        value = frame["customers"].drop_nulls()
        assert ((value % K == 0) & (value >= 2 * K)).all()
    assert 0 < found.under_way["brier"][-1] < 0.25


def test_no_file_names_a_customer(workspace, snapshot):
    ids = set(workspace.customers().select("name").collect().to_series())
    files = list(snapshot.folder.glob("predictions.*.parquet"))
    assert len(files) == 5
    for file in files:
        frame = pl.read_parquet(file)
        assert "customer" not in frame.columns
        for column in (c for c, dtype in frame.schema.items() if dtype == pl.String):
            assert not ids & set(frame[column].drop_nulls())
    assert any("prediction" in check for check in snapshot.manifest["checks"])


def test_the_check_refuses_small_groups(workspace, snapshot, tmp_path):
    for file in snapshot.folder.glob("predictions.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "predictions.by_risk.parquet"
    bad = pl.read_parquet(path).with_columns(customers=pl.lit(7, pl.Int64))
    bad.write_parquet(path)
    ids = workspace.customers().select("name").collect().to_series()
    with pytest.raises(WorkspaceError, match="fewer than 10 customers"):
        check_predictions(tmp_path, ids, k=K)


def test_a_snapshot_without_predictions_says_so(workspace):
    plain = publish(workspace, k=K, answers=["touchpoints"])
    with pytest.raises(WorkspaceError, match="holds no predictions"):
        Snapshot.open(plain.folder).predictions()
