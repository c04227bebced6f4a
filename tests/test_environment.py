"""One set of dependencies: pyproject.toml, environment.yml and requirements.lock say the same."""

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
LEFT_OUT = {"isoduration", "rfc3987-syntax"}


def asked_for() -> dict[str, Requirement]:
    lines = [*PYPROJECT["project"]["dependencies"], *PYPROJECT["dependency-groups"]["dev"]]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def locked() -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ]+)", LOCK, flags=re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(Version(version))
    return found


def conda() -> tuple[dict[str, Requirement], dict[str, Requirement]]:
    """Return what environment.yml asks of conda and of pip."""
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
    from_conda = [Requirement(line) for line in dependencies if isinstance(line, str)]
    from_pip = [Requirement(line) for line in pip if not line.startswith("-")]
    assert "-e ." in pip
    return {r.name: r for r in from_conda}, {canonicalize_name(r.name): r for r in from_pip}


def test_conda_users_get_the_same_names_and_ranges() -> None:
    from_conda, from_pip = conda()
    assert not from_conda.keys() & from_pip.keys()
    both = {**from_conda, **from_pip}
    assert both.pop("python").specifier == PYPROJECT["project"]["requires-python"]
    del both["pip"]
    assert {n: str(r.specifier) for n, r in both.items()} == {
        n: str(r.specifier) for n, r in asked_for().items()
    }


def test_conda_gets_every_runtime_dependency_itself() -> None:
    runtime = {canonicalize_name(Requirement(d).name) for d in PYPROJECT["project"]["dependencies"]}
    assert runtime <= conda()[0].keys()


def test_environment_uses_only_what_conda_can_parse() -> None:
    for line in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]:
        if isinstance(line, str):
            assert re.fullmatch(r"[a-z0-9-]+((>=|==|<)[0-9.]+(,<[0-9.]+)?)?", line), line


def test_the_lock_holds_all_that_pyproject_asks_for() -> None:
    versions = locked()
    for name, requirement in asked_for().items():
        assert name in versions, f"{name} is not locked: make lock"
        for version in versions[name]:
            assert version in requirement.specifier, f"{name} {version}: make lock"


def test_every_locked_package_carries_hashes() -> None:
    blocks = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) > 100
    for block in blocks:
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_lock_leaves_out_what_slows_every_kernel() -> None:
    assert set(PYPROJECT["tool"]["uv"]["exclude-dependencies"]) == LEFT_OUT
    assert not LEFT_OUT & locked().keys()


def test_the_installed_versions_are_the_locked_ones() -> None:
    if not (ROOT / ".venv" / ".installed").exists():
        pytest.skip("this environment was not made by `make`")
    for name, versions in locked().items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python
        assert Version(installed) in versions, name


def licence_of(distribution: importlib.metadata.Distribution) -> str:
    """Return what the distribution states: SPDX expression, classifiers, or how its text begins."""
    metadata = distribution.metadata
    stated = [metadata.get("License-Expression") or ""]
    stated += [c for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    if not any(stated):
        stated.append((metadata.get("License") or "")[:100])
    if not any(stated):
        files = metadata.get_all("License-File") or []
        stated += [(distribution.read_text(f"licenses/{name}") or "")[:100] for name in files]
    return " ".join(stated)


PERMITTED = re.compile(
    r"Apache|BSD|MIT|ISC|MPL|Mozilla|PSF|Python Software Foundation|Unlicense|HPND|Zlib",
    re.IGNORECASE,
)
COPYLEFT = re.compile(r"\bA?GPL|\bLGPL|Affero|General Public", re.IGNORECASE)


def test_every_licence_goes_with_apache_2() -> None:
    checked = 0
    for name in locked():
        try:
            licence = licence_of(importlib.metadata.distribution(name))
        except importlib.metadata.PackageNotFoundError:
            continue
        assert PERMITTED.search(licence), f"{name}: {licence!r}"
        assert not COPYLEFT.search(licence), f"{name}: {licence!r}"
        checked += 1
    assert checked > 100


def test_no_file_names_a_package_registry() -> None:
    hosts = [
        "py" + "pi.org",
        "files.python" + "hosted",
        "registry.npm" + "js",
        "conda.ana" + "conda.org",
    ]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    found = [
        (name, host)
        for name in filter(None, listed)
        if (ROOT / name).is_file()
        for host in hosts
        if host.encode() in (ROOT / name).read_bytes()
    ]
    assert not found
