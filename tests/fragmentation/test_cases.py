"""The small logs beside the repository whose right answer is a finding, or none."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from cxlib.fragmentation import measure_fragmentation
from cxlib.ingest import read_events
from cxlib.journey_map import read_journey_map
from cxlib.store import build_workspace


@pytest.mark.slow
def test_waits_within_and_between_sessions_are_no_delay_of_each_other(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = shared_data.parent / "cases" / "same-channel-delay.py"
    if not script.is_file():
        pytest.skip("the cases beside the repository are not here")
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    runpy.run_path(str(script))
    journey_map = read_journey_map(tmp_path / "map.yaml")
    ingested = read_events(tmp_path / "events.csv", journey_map)
    workspace = build_workspace(ingested, tmp_path / "ws")
    assert measure_fragmentation(workspace).found.is_empty()
