"""What many tests need: a browser, and real logs that are not part of the repository."""

import os
from pathlib import Path

import hypothesis
import pytest

from cxlib.views.report.printing import HOW_TO_GET_ONE, find_chromium

ROOT = Path(__file__).resolve().parents[1]

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile(
    "untimed",
    hypothesis.settings.default,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """The browser for tests that need one; without it they skip, and on CI they fail."""
    found = find_chromium()
    if found is None and os.environ.get("CI"):
        pytest.fail(HOW_TO_GET_ONE)
    if found is None:
        pytest.skip(HOW_TO_GET_ONE)
    return found


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real logs: CX_SHARED_DATA, or shared/data beside the repository."""
    named = os.environ.get("CX_SHARED_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(
            f"the real logs are not redistributed; put them into {folder} or set CX_SHARED_DATA"
        )
    return folder
