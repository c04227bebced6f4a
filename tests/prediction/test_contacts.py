"""What is known of a contact: against plain loops, and without a look into the future."""

import itertools
import math
from datetime import timedelta

import polars as pl
import pytest
from journey_oracle import GAP, START, journey_map, make_workspace, random_log

from cxlib.prediction.under_way import CLASSES, NUMBERS, describe_contacts


def described(workspace, horizon=GAP):
    rows = pl.concat([pl.read_parquet(f) for f in workspace.bucket_files()])
    frame = describe_contacts(rows, workspace, horizon)
    names = workspace.customers().select("customer", "name").collect()
    return frame.join(names, on="customer", how="left", maintain_order="left")


def describe_by_hand(workspace, horizon):
    """What is known of each contact at risk, in loops over the store's rows."""
    rows = pl.concat([pl.read_parquet(f) for f in workspace.bucket_files()]).to_dicts()
    places = workspace.places.to_dicts()
    goals = [p["stage_index"] for p in places if p["is_goal"]]
    last_stage = max(goals) if goals else 255
    found = {}
    for _, group in itertools.groupby(rows, key=lambda r: r["customer"]):
        kept = []
        for row in group:
            before = kept[-1] if kept else None
            if (
                before
                and before["place"] == row["place"]
                and (row["occurred_at"] - before["occurred_at"]).total_seconds() <= 60
            ):
                continue
            kept.append(row)
        for i, row in enumerate(kept):
            place = places[row["place"]]
            stage = place["stage_index"]
            if place["initiated_by"] != "customer" or row["reached"] or row["lost"]:
                continue
            if stage != 255 and stage > last_stage:
                continue
            past = kept[:i]
            journey = [r for r in kept[: i + 1] if r["journey"] == row["journey"]]
            channels = [places[r["place"]]["channel"] for r in journey]
            turns, high = 0, None
            for j, r in enumerate(journey):
                s = places[r["place"]]["stage_index"]
                if s != 255:
                    turns += j > 0 and high is not None and s < high
                    high = s if high is None else max(high, s)
            own = [r for r in kept[i + 1 :] if places[r["place"]]["initiated_by"] == "customer"]
            after = (own[0]["occurred_at"] - row["occurred_at"]).total_seconds() if own else None
            outcome = None
            if workspace.observed_until - row["occurred_at"] >= horizon:
                outcome = 0
                if after is None or after > horizon.total_seconds():
                    outcome = 1
                else:
                    s = places[own[0]["place"]]["stage_index"]
                    same = own[0]["journey"] == row["journey"]
                    outcome = 2 if same and s != 255 and high is not None and s < high else 0
            wait = (row["occurred_at"] - past[-1]["occurred_at"]).total_seconds() if past else None
            age = (row["occurred_at"] - journey[0]["occurred_at"]).total_seconds()
            linked = bool(past) and past[-1]["journey"] == row["journey"]
            linked = linked and wait <= horizon.total_seconds()
            found[row["customer"], row["occurred_at"]] = {
                "source": past[-1]["place"] if linked else -1,
                "log_wait": None if wait is None else math.log1p(wait),
                "log_age": math.log1p(age),
                "log_contacts": math.log1p(len(past)),
                "journeys": row["journey"] - kept[0]["journey"],
                "ping_pongs": sum(
                    channels[j] == channels[j - 2] != channels[j - 1]
                    for j in range(2, len(channels))
                ),
                "turns_back": turns,
                "below_high": high - stage if high is not None and stage != 255 else 0,
                "hour": row["occurred_at"].hour,
                "weekday": row["occurred_at"].isoweekday(),
                "log_position": math.log1p(row["position"]),
                "outcome": outcome,
                "return_after": after,
                "latest": not own,
            }
    return found


@pytest.mark.parametrize("goal", [("pay",), ()])
def test_features_and_outcomes_equal_plain_loops(tmp_path, goal):
    rule = journey_map(goal=goal, lost=(), until=START + timedelta(days=130))
    workspace = make_workspace(tmp_path / "ws", random_log(3, customers=120), rule=rule)
    by_hand = describe_by_hand(workspace, GAP)
    frame = described(workspace)
    assert len(frame) == len(by_hand) > 200
    assert set(frame["outcome"].to_list()) == {0, 1, 2, None}
    for row in frame.iter_rows(named=True):
        wanted = by_hand[row["customer"], row["occurred_at"]]
        for name, value in wanted.items():
            assert row[name] == (value if value is None else pytest.approx(value)), name


def test_features_do_not_know_the_future(tmp_path):
    """Two logs that agree until a day and not after it have the same features until then."""
    log = random_log(5, customers=150)
    day = START + timedelta(days=60)
    past = [c for c in log if c.at <= day]
    other = random_log(99, customers=400)
    future = [c for c in other if c.at > day]
    rule = journey_map(until=START + timedelta(days=130))
    kept = pl.col("occurred_at") <= day
    first = described(make_workspace(tmp_path / "a", log, rule=rule)).filter(kept)
    second = described(make_workspace(tmp_path / "b", past + future, rule=rule)).filter(kept)
    columns = ["name", "occurred_at", *NUMBERS, *CLASSES]
    keys = ["name", "occurred_at"]
    assert first.select(columns).sort(keys).equals(second.select(columns).sort(keys))
    assert len(first) > 100
    # labels may differ, but not where the whole horizon lay before that day
    early = pl.col("occurred_at") <= day - GAP
    names = [*keys, "outcome"]
    a, b = first.filter(early).select(names).sort(keys), second.filter(early).select(names)
    assert a.equals(b.sort(keys))
    assert not first.select("outcome").equals(second.select("outcome"))
