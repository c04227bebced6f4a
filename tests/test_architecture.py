"""The folder listing is the architecture: imports go down only, and `import cxlib` is light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "cxlib"
FILES = sorted(PACKAGE.rglob("*.py"))
# Every room of the package, lowest first; rooms on one line do not know one another.
ROOMS = (
    ("errors", "lazy", "markup", "numbers", "visible"),
    ("durable", "shipped", "tables"),
    ("columns", "contracts"),
    ("bins", "periods"),
    ("map_file",),
    ("opening_hours", "persona_rules"),
    ("map_model",),
    ("journey_map",),
    ("segments",),
    ("ingest", "simulate"),
    ("datasets",),
    ("journeys",),
    ("encode",),
    ("answers",),
    ("store",),
    ("summary",),
    ("statistics", "where"),
    ("outcomes", "results", "sequences"),
    ("audience", "surveys"),
    ("measures",),
    ("comparing",),
    ("arrivals",),
    ("grounds",),
    ("signals",),
    ("fragmentation",),
    ("opportunities", "prediction"),
    ("figures",),
    ("publish",),
    ("views",),
    ("serve",),
    ("export",),
    ("front",),
    ("cli",),
)
HEIGHT = {room: height for height, line in enumerate(ROOMS) for room in line}
# The one import that goes up, inside a method: `Workspace.summary()` is what everyone types.
UPWARD = {("store", "summary")}
HEAVY = ("plotly", "ipywidgets", "sklearn", "scipy", "voila", "lxml", "yaml", "typer", "pandas")
MAX_LINES = 600


def room_of(module: str) -> str | None:
    """Return the room of a dotted module name; None for `cxlib` itself and other packages."""
    parts = module.split(".")
    if parts[0] != "cxlib" or len(parts) == 1 or parts[1] == "__version__":
        return None
    return parts[1]


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of every import in a file, wherever in the file it stands."""
    package = ("cxlib", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join((*base, *(node.module or "").split("."))).strip(".")
            if name == "cxlib":
                yield from ((node.lineno, f"cxlib.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, name


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_room_has_its_place() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert rooms - {"__init__", "__main__"} <= HEIGHT.keys(), (
        "say in ROOMS where the new room belongs"
    )


def test_the_page_about_the_architecture_names_every_room_in_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    first_cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    told = [name for cell in first_cells for name in re.findall(r"`(\w+)/?`", cell)]
    assert sorted(told) == sorted(HEIGHT)
    assert [HEIGHT[room] for room in told] == sorted(HEIGHT.values())


def test_decisions_are_numbered_without_holes_and_links_lead_somewhere() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, path in enumerate(decisions, 1):
        assert path.name.startswith(f"{number:04}-")
        assert path.read_text(encoding="utf-8").startswith(f"# {number}. ")
    pages = [*ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("docs/**/*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert "://" in link or (page.parent / link).exists(), f"{relative(page)}: {link}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_go_down_only(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own in {"__init__", "__main__"}:
        return  # the front door opens every room, and only when asked: see the next tests
    for line, module in imported_modules(path):
        other = room_of(module)
        if other is None or other == own or (own, other) in UPWARD:
            continue
        assert other in HEIGHT, f"{relative(path)}:{line} imports {module} through the front door"
        assert HEIGHT[other] < HEIGHT[own], f"{relative(path)}:{line}: {own} imports {module}"


def test_measures_never_import_one_another() -> None:
    found = []
    for path in sorted((PACKAGE / "measures").glob("*.py")):
        if path.stem == "__init__":
            continue
        for line, module in imported_modules(path):
            if module == "cxlib.measures" or module.startswith("cxlib.measures."):
                found.append(f"{relative(path)}:{line} {module}")
    assert not found, "what two measures need is a room of its own"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_module_is_one_topic(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    assert path.stem not in {"utils", "util", "helpers", "misc", "common"}


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout


def test_import_is_light() -> None:
    code = "import sys, time; t = time.process_time(); import cxlib; t = time.process_time() - t"
    seconds, *loaded = run_python(code + "; print(t, *sys.modules)").split()
    assert not set(loaded) & set(HEAVY)
    assert "cxlib.store" not in loaded
    assert float(seconds) < 0.25, "of processor time; a hundredth of it is usual"


def test_walking_the_journeys_needs_no_figures_and_no_models() -> None:
    loaded = set(run_python("import sys; from cxlib import Workspace; print(*sys.modules)").split())
    assert "cxlib.store" in loaded
    assert not loaded & {"plotly", "ipywidgets", "sklearn", "voila", "typer"}


def test_the_front_door_opens_what_it_names() -> None:
    import cxlib

    for name in dir(cxlib):
        assert getattr(cxlib, name) is not None or name.startswith("__")
    with pytest.raises(AttributeError, match="no attribute 'Workspaces'"):
        cxlib.Workspaces  # noqa: B018


def test_nothing_outside_the_walk_shifts_rows() -> None:
    # files are read, journeys split and duplicates found before there is a store; what is simulated
    # or planted is written, not read
    may = {"store/walk.py", "journeys.py", "encode.py", "grounds/faults.py"}
    found = [
        f"{relative(path)}:{node.lineno}"
        for path in FILES
        if (name := path.relative_to(PACKAGE).as_posix()) not in may
        and not name.startswith(("simulate/", "ingest/"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "shift"
    ]
    assert not found, "what came before or after a contact is asked of cxlib.store.walk"
