"""Workspaces that several measures are asked about, built once."""

import pytest
from journey_oracle import journey_map, make_workspace, random_log


@pytest.fixture(scope="session")
def rule():
    return journey_map()


@pytest.fixture(scope="session")
def log():
    return random_log(1, customers=150)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory, log, rule):
    return make_workspace(tmp_path_factory.mktemp("ws") / "random", log, rule=rule)


@pytest.fixture(scope="session")
def summary(workspace):
    return workspace.summary()
