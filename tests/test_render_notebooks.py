"""What `make notebooks` stores, refuses, and lets nbval compare."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
import render_notebooks
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[1]
FIGURE = {"data": [], "layout": {"title": {"text": "Where <b>they</b> go<br>n = 3"}}}
TABLE = "import polars as pl\npl.DataFrame({'stage': ['awareness'], 'customers': [4821 * 10]})"
DRAW_IT = (
    "import plotly.graph_objects as go\ngo.Figure(go.Bar(y=[2, 1]), {'title': {'text': 'Two'}})"
)


def shown(data: dict[str, Any]) -> NotebookNode:
    return new_output("display_data", data=data)


def printed(text: str, name: str = "stdout") -> NotebookNode:
    return new_output("stream", name=name, text=text)


def stored(*outputs: NotebookNode, tags: tuple[str, ...] = ()) -> NotebookNode:
    cell = new_code_cell("x", outputs=list(outputs), metadata={"tags": list(tags), "execution": {}})
    render_notebooks.store_outputs(cell, "a.ipynb, cell 1", lambda _: b"picture")
    return cell


def test_a_figure_becomes_a_picture_with_its_title_and_leaves_the_comparison() -> None:
    cell = stored(shown({render_notebooks.PLOTLY: FIGURE, "text/html": "<script>5 MB</script>"}))
    assert cell.metadata == {"tags": ["nbval-ignore-output"]}
    (output,) = cell.outputs
    assert output.data == {
        "image/png": "cGljdHVyZQ==",
        "text/plain": "Figure: Where they go · n = 3",
    }
    assert output.metadata["image/png"]["alt"] == "Figure: Where they go · n = 3"


def test_text_and_tables_stay_and_are_compared() -> None:
    data = {"text/html": "<b>1</b>", "text/plain": "1"}
    cell = stored(printed("n = 3\n"), shown(data), tags=("nbval-ignore-output",))
    assert cell.metadata == {}
    assert [o.output_type for o in cell.outputs] == ["stream", "display_data"]
    assert cell.outputs[1].data == data


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        ([shown({render_notebooks.PLOTLY: FIGURE}), printed("n = 3")], "beside text"),
        ([printed("DeprecationWarning: no", "stderr")], "warns: DeprecationWarning"),
        ([shown({render_notebooks.WIDGET: {}, "text/plain": "Box()"})], "shows a widget"),
        ([shown({"application/pdf": "…"})], "no reader could compare"),
    ],
)
def test_what_would_escape_the_comparison_is_refused(
    outputs: list[NotebookNode], reason: str
) -> None:
    with pytest.raises(render_notebooks.NotStoredError, match=f"a.ipynb, cell 1.*{reason}"):
        stored(*outputs)


@pytest.mark.parametrize(
    ("title", "text"), [(None, "Figure"), ("Plain", "Figure: Plain"), ({}, "Figure")]
)
def test_titles_of_every_form_are_read(title: object, text: str) -> None:
    layout = {} if title is None else {"title": title}
    assert render_notebooks.alternative_text({"layout": layout}) == text


def write(path: Path, *sources: str) -> None:
    code = [new_code_cell(source) for source in sources]
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Question"), *code]), path)


def render(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "render_notebooks.py"), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True)


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    options = [
        f"--nbval-sanitize-with={ROOT / 'tests' / 'nbval_sanitize.cfg'}",
        "--nbval-cell-timeout=60",
    ]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        os.devnull,
        "--rootdir",
        str(path.parent),
        "-q",
    ]
    command += ["-p", "no:cacheprovider", "--nbval", "--nbval-current-env", *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_failing_notebook_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "wrong.ipynb"
    write(path, "print(1)", "1 / 0")
    before = path.read_bytes()
    result = render(path)
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stdout
    assert "Traceback" not in result.stderr
    assert path.read_bytes() == before


@pytest.mark.browser
def test_rendering_twice_changes_no_byte_and_nbval_compares_the_table_not_the_picture(
    tmp_path: Path, chromium_path: Path
) -> None:
    path = tmp_path / "right.ipynb"
    write(path, TABLE, DRAW_IT)
    assert render(path).returncode == 0
    first = path.read_bytes()
    assert render(path).returncode == 0
    assert path.read_bytes() == first
    assert len(first) < 60_000

    content = json.loads(first)
    content["cells"][2]["outputs"][0]["data"]["image/png"] = "another machine's fonts"
    path.write_text(json.dumps(content))
    assert "2 passed" in validate(path).stdout
    path.write_text(json.dumps(content).replace("48210", "48211"))
    assert "1 failed, 1 passed" in validate(path).stdout
