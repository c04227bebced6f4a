"""Notebooks and dashboards as files: thin, complete, and stored so that a code host shows them."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.ipynb"))
MAX_LINES = 15
MAX_BYTES = 500_000
COMPARED = {"text/plain", "text/html", "text/markdown"}


def cells(path: Path, kind: str = "code") -> list[dict[str, Any]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def name_of(path: Path) -> str:
    return path.name


def test_one_notebook_for_each_stage_and_one_dashboard() -> None:
    assert {"00", "01", "02", "03", "04"} <= {path.name[:2] for path in NOTEBOOKS}
    assert "journey_map.ipynb" in {path.name for path in DASHBOARDS}


@pytest.mark.parametrize("path", [*NOTEBOOKS, *DASHBOARDS], ids=name_of)
def test_cells_are_short_and_define_nothing(path: Path) -> None:
    assert cells(path)
    for number, cell in enumerate(cells(path)):
        code = source(cell)
        assert len(code.splitlines()) <= MAX_LINES, f"code cell {number}: move it into the package"
        for node in ast.walk(ast.parse(code)):
            assert not isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
            ), f"code cell {number} defines something: move it into the package"
        assert "filterwarnings" not in code, f"code cell {number} hides warnings"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebooks_use_the_front_door_only_and_have_a_row_of_widgets(path: Path) -> None:
    code = "\n".join(source(cell) for cell in cells(path))
    imports = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imports] == ["import cxlib as cx"]
    assert code.count("cx.explore(ws") == 1


@pytest.mark.parametrize("path", [*NOTEBOOKS, *DASHBOARDS], ids=name_of)
def test_files_stay_small_and_hold_no_widget_state(path: Path) -> None:
    assert path.stat().st_size < MAX_BYTES
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    # "cx" is the title and the line about a dashboard on the home page
    assert metadata.keys() <= {"kernelspec", "language_info", "cx"}, "make notebooks"


@pytest.mark.parametrize("path", DASHBOARDS, ids=name_of)
def test_dashboards_store_no_outputs(path: Path) -> None:
    assert not [cell for cell in cells(path) if cell["outputs"]]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebooks_were_run_from_top_to_bottom(path: Path) -> None:
    counts = [cell["execution_count"] for cell in cells(path)]
    assert counts == list(range(1, len(counts) + 1)), "make notebooks"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_figures_are_stored_as_pictures_with_a_text_and_nothing_else_escapes_nbval(
    path: Path,
) -> None:
    figures = 0
    for number, cell in enumerate(cells(path)):
        outputs = cell["outputs"]
        pictures = [o for o in outputs if "image/png" in o.get("data", {})]
        ignored = "nbval-ignore-output" in cell["metadata"].get("tags", [])
        assert ignored == bool(pictures), f"code cell {number}: make notebooks"
        assert not pictures or len(pictures) == len(outputs), f"code cell {number}: figures only"
        for picture in pictures:
            assert picture["metadata"]["image/png"]["alt"] != "Figure", f"code cell {number}: title"
        for output in (o for o in outputs if o not in pictures):
            assert output["output_type"] in {"stream", "display_data", "execute_result"}
            assert output.get("name") != "stderr", f"code cell {number} warns"
            assert output.get("data", {}).keys() <= COMPARED, f"code cell {number}: make notebooks"
        figures += len(pictures)
    assert figures or path.name.startswith("00"), "a stage without a figure"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebooks_load_nothing_from_other_hosts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for sign in ("<script", "<iframe", "cdn.plot.ly", "cdnjs", "unpkg.com", "jsdelivr"):
        assert sign not in text, sign
