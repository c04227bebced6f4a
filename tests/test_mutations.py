"""Faults that the tests must notice: each is put into a copy of the package, and tests must fail.

A test that no fault can make fail says nothing. These are the faults that would mislead and that
no type and no crash gives away: a comparison that is off by one, a guard that is left out.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import cxlib

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Fault:
    """A line of a module, what it is turned into, and the tests that must fail then."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]


FAULTS = (
    Fault(
        "the window of a funnel is open at its end",
        "measures/funnels.py",
        "came, at)) <= limit",
        "came, at)) < limit",
        ("tests/test_boundaries.py", "tests/measures/test_funnels.py"),
    ),
    Fault(
        "a journey past its goal is settled though contacts may still come",
        "measures/funnels.py",
        "np.where(row >= 0, _NEXT, np.where(waiting, _OPEN, end))",
        "np.where(row >= 0, _NEXT, end)",
        ("tests/test_boundaries.py", "tests/measures/test_funnels.py"),
    ),
    Fault(
        "a reload must come sooner than its time",
        "store/walk.py",
        "(since <= RELOAD)",
        "(since < RELOAD)",
        ("tests/test_boundaries.py", "tests/fragmentation/test_arrivals.py"),
    ),
    Fault(
        "silence as long as the gap ends a journey",
        "journeys.py",
        ".shift(1)) > rule.gap",
        ".shift(1)) >= rule.gap",
        ("tests/test_journeys.py",),
    ),
    Fault(
        "silence as long as the gap counts as silence",
        "store/walk.py",
        'pl.col("wait") > longest(scope.gap)',
        'pl.col("wait") >= longest(scope.gap)',
        ("tests/test_boundaries.py", "tests/test_summary.py"),
    ),
    Fault(
        "a robot's contacts may lie a whole window apart",
        "encode.py",
        "at.shift(-contacts) - at < span",
        "at.shift(-contacts) - at <= span",
        ("tests/test_boundaries.py", "tests/test_encode.py"),
    ),
    Fault(
        "touchpoints are ranked by the estimate instead of its lower end",
        "measures/touchpoints.py",
        'pl.col("customers") * pl.col("lost_low")',
        'pl.col("customers") * pl.col("lost")',
        ("tests/measures/test_touchpoints.py",),
    ),
    Fault(
        "customers affected come from the estimate instead of its lower end",
        "grounds/cells.py",
        '"touched": np.maximum(low, 0.0)',
        '"touched": np.maximum(effect, 0.0)',
        ("tests/fragmentation/test_findings.py",),
    ),
    Fault(
        "standing out on one scale is enough",
        "grounds/cells.py",
        "np.minimum(found.z, in_points)",
        "np.maximum(found.z, in_points)",
        ("tests/fragmentation/test_expectation.py", "tests/fragmentation/test_findings.py"),
    ),
    Fault(
        "the tail of small counts is taken for normal",
        "grounds/groups.py",
        "p = np.maximum(p, tail_of_counts(",
        "p = np.maximum(p, 0 * tail_of_counts(",
        ("tests/fragmentation/test_grounds.py",),
    ),
    Fault(
        "a handoff takes part in its own expectation",
        "grounds/additive.py",
        "others[fits, chosen] = 0.0",
        "pass",
        ("tests/fragmentation/test_expectation.py",),
    ),
    Fault(
        "a published share may rest on few cases",
        "publish/small_groups.py",
        "LEAST_STEPS = 3",
        "LEAST_STEPS = 1",
        ("tests/test_publish_blanks.py", "tests/test_publish.py"),
    ),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_said_of_code_that_is_there(fault: Fault) -> None:
    assert (Path(cxlib.__file__).parent / fault.file).read_text("utf-8").count(fault.before) == 1
    assert all((ROOT / test).is_file() for test in fault.tests)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_noticed(fault: Fault, tmp_path: Path) -> None:
    package = Path(cxlib.__file__).parent
    shutil.copytree(package, tmp_path / "cxlib", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "cxlib" / fault.file
    text = file.read_text("utf-8")
    file.write_text(text.replace(fault.before, fault.after), "utf-8")
    tests = [str(ROOT / test) for test in fault.tests]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
        cwd=tmp_path,  # the folder that python looks into first
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stdout[-3000:] + run.stderr[-3000:]
    assert "FAILED" in run.stdout or "could tell on fewer" in run.stdout  # publishing refused it
