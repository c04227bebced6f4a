"""One more signal, one more ground: each from one declaration, judged, said and exported."""

import json

import pytest
from fragmentation.test_grounds import judge, one_channel

from cxlib.grounds import GROUNDS, Counts, Ground, Signal, register_ground
from cxlib.grounds.judged import name_units
from cxlib.signals import SIGNALS, register_signal

GIVING_UP = Signal(
    name="giving_up",
    number=50,
    title="customers give up",
    unit="share of arrivals",
    counts=Counts("histories", "n", "silent", units=("place",)),
    says="has {} more give up",
)


def judge_half(part, signals):
    """A ground on which exactly half is expected everywhere."""
    if GIVING_UP.name not in signals:
        return []
    table = part.histories.group_by("target").sum().sort("target")
    n, share = table["n"].cast(float), table["silent"] / table["n"]
    named = name_units(part, "place", table["target"].cast(int).to_numpy())
    told = named | {"signal": GIVING_UP.name, "n": n, "observed": share, "expected": n * 0 + 0.5}
    told |= {"effect": share - 0.5, "low": share - 0.55, "high": share - 0.45}
    return [told | {"z": (share - 0.5) * 20, "p": n * 0 + 1e-9, "affected": n}]


@pytest.fixture
def registered():
    register_signal(GIVING_UP)
    register_ground(Ground("half", 50, "one half", judge_half))
    yield
    SIGNALS.pop("giving_up")
    GROUNDS.pop("half")


@pytest.mark.usefixtures("registered")
def test_a_signal_and_a_ground_of_ones_own(tmp_path):
    rows = one_channel(3, lost=0.6)
    found = judge(rows, signals=["giving_up"])
    assert set(found.table["ground"]) == {"past", "groups", "half"}
    on_groups = found.table.filter(ground="groups", finding=True).row(0, named=True)
    assert on_groups["source"] == "page 4"
    assert "has" in on_groups["sentence"]
    assert "more give up" in on_groups["sentence"]
    on_half = judge(rows, signals=["giving_up"], grounds=["half"])
    assert set(on_half.table["ground"]) == {"half"}
    assert len(on_half.table) == 7
    assert json.dumps(on_half.to_dicts(), default=str)
    found.write_csv(str(tmp_path / "findings.csv"))
    assert "giving_up" in (tmp_path / "findings.csv").read_text()
