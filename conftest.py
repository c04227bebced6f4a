"""A small workspace for the examples in docstrings, under the names `workspace` and `summary`."""

from pathlib import Path

import pytest

DOCUMENTED = Path(__file__).parent / "cxlib" / "measures"


@pytest.fixture(scope="session")
def example_workspace(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Build the workspace, once, when the first example asks for it."""
    from journey_oracle import make_workspace, random_log

    return make_workspace(tmp_path_factory.mktemp("example") / "workspace", random_log(1, 150))


@pytest.fixture(autouse=True)
def _example_names(request: pytest.FixtureRequest, doctest_namespace: dict[str, object]) -> None:
    """Give the examples of the measures their workspace; other tests pay nothing for it."""
    if isinstance(request.node, pytest.DoctestItem) and DOCUMENTED in request.path.parents:
        workspace = request.getfixturevalue("example_workspace")
        doctest_namespace["workspace"] = workspace
        doctest_namespace["summary"] = workspace.summary()
