"""Run notebooks in place and store their outputs as a reader on a code host needs them.

    python tools/render_notebooks.py notebooks/*.ipynb

Each notebook runs from top to bottom in a fresh kernel, in its own folder, on the workspace that
CX_WORKSPACE names (default: ./workspace). Text and tables are stored as they came, for nbval to
compare; a widget that brings words for readers without it is stored as these words. A plotly figure
is stored as a small picture with its title as the alternative text; pictures are not comparable
between machines (fonts), so a cell that shows one is tagged `nbval-ignore-output` and may show
nothing else: then nothing that could be compared escapes the comparison. What changes from run to
run (times, widget state, kernel versions) is not stored, so running this twice changes no byte.

A notebook is left as it was, and the exit code is 1, when a cell fails or warns, shows a widget or
something beside a figure, names a path of this machine, or when the file would exceed 500 kB.
"""

import argparse
import base64
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from cxlib.views.report.printing import HOW_TO_GET_ONE, find_chromium

ROOT = Path(__file__).resolve().parents[1]
MAX_BYTES = 500_000
CELL_SECONDS = 120
PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
COMPARABLE = {"text/plain", "text/html", "text/markdown"}
PICTURE_TAG = "nbval-ignore-output"
WIDTH, HEIGHT, SCALE, COLOURS = 900, 480, 1.5, 256

Draw = Callable[[dict[str, Any]], bytes]


class NotStoredError(Exception):
    """Why a notebook cannot be stored: one sentence that names the notebook and the cell."""


def alternative_text(figure: dict[str, Any]) -> str:
    """Return the figure's title as plain text, for readers who cannot see the picture."""
    title = figure.get("layout", {}).get("title", "")
    text = title.get("text", "") if isinstance(title, dict) else title
    plain = re.sub(r"<[^>]+>", "", re.sub(r"<br\s*/?>", " · ", text or "")).strip()
    return f"Figure: {plain}" if plain else "Figure"


@contextmanager
def drawing() -> Iterator[Draw]:
    """Open one browser for all figures; yield what turns a plotly figure (JSON) into PNG bytes."""
    import kaleido
    from PIL import Image

    started = False

    def draw(figure: dict[str, Any]) -> bytes:
        nonlocal started
        if not started:
            if (browser := find_chromium()) is None:
                raise NotStoredError(HOW_TO_GET_ONE)
            kaleido.start_sync_server(path=str(browser), mathjax=False, silence_warnings=True)
            started = True
        layout = figure.get("layout", {})
        size = {"width": layout.get("width") or WIDTH, "height": layout.get("height") or HEIGHT}
        spec = {"data": figure.get("data", []), "layout": layout}
        raw = kaleido.calc_fig_sync(spec, opts={"format": "png", "scale": SCALE, **size})
        # A palette makes the picture a third of its size, and no one sees it.
        image = Image.open(io.BytesIO(raw)).convert("RGB")
        small = io.BytesIO()
        # An octree keeps the colours of small marks, which a median cut would merge.
        few = image.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few.save(small, "PNG", optimize=True)
        return small.getvalue()

    try:
        yield draw
    finally:
        if started:
            kaleido.stop_sync_server(silence_warnings=True)


def as_picture(output: NotebookNode, draw: Draw) -> NotebookNode:
    """Return the output of a figure as a picture with its alternative text."""
    figure = output["data"][PLOTLY]
    text = alternative_text(figure)
    png = base64.b64encode(draw(figure)).decode()
    return nbformat.v4.new_output(
        "display_data",
        data={"image/png": png, "text/plain": text},
        metadata={"image/png": {"alt": text}},
    )


def store_outputs(cell: NotebookNode, where: str, draw: Draw) -> None:
    """Replace the outputs of one executed cell by what is stored of them."""
    outputs: list[NotebookNode] = []
    for output in cell.outputs:
        if output.output_type == "stream":
            if output.name == "stderr":
                raise NotStoredError(f"{where} warns: {output.text.strip()[:300]}")
            outputs.append(output)
        elif PLOTLY in output.data:
            outputs.append(as_picture(output, draw))
        elif WIDGET in output.data and not set(output.data) & (COMPARABLE - {"text/plain"}):
            raise NotStoredError(
                f"{where} shows a widget that has no words; show the figure of `cx.plot` instead"
            )
        elif kinds := set(output.data) & COMPARABLE:
            output.data = NotebookNode({kind: output.data[kind] for kind in sorted(kinds)})
            output.metadata = NotebookNode()
            outputs.append(output)
        else:
            raise NotStoredError(
                f"{where} shows {sorted(output.data)}, which no reader could compare"
            )
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    if pictures and len(pictures) < len(outputs):
        raise NotStoredError(f"{where} shows a figure beside text or a table; give each a cell")
    tags = [tag for tag in cell.metadata.get("tags", []) if tag != PICTURE_TAG]
    tags += [PICTURE_TAG] if pictures else []
    cell.metadata = NotebookNode({"tags": tags} if tags else {})
    cell.outputs = outputs


def execute(notebook: NotebookNode, folder: Path, name: str) -> None:
    """Run every cell in a fresh kernel; outputs land in the notebook."""
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise NotStoredError(f"{name}: a cell fails\n{error}") from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise NotStoredError(f"{name}: {error}") from None


def render(path: Path, draw: Draw) -> str:
    """Return the notebook at `path`, executed, as the text to store."""
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, path.parent, path.name)
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:02d}"
        if cell.cell_type == "code":
            store_outputs(cell, f"{path.name}, cell {number}", draw)
        else:
            cell.metadata = NotebookNode()
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    nbformat.validate(notebook)
    text = nbformat.writes(notebook) + "\n"
    for machine_path in {str(ROOT), str(Path.home())} - {"/"}:
        if machine_path in text:
            raise NotStoredError(f"{path.name} stores a path of this machine ({machine_path})")
    if len(text.encode()) > MAX_BYTES:
        raise NotStoredError(
            f"{path.name} would take {len(text.encode()) / 1000:.0f} kB, "
            f"{MAX_BYTES / 1000:.0f} kB are allowed: fewer figures or rows"
        )
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Render the notebooks named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    paths: list[Path] = parser.parse_args(arguments).notebooks
    os.environ["CX_WORKSPACE"] = str(
        Path(os.environ.get("CX_WORKSPACE") or ROOT / "workspace").resolve()
    )
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"
    failed = 0
    with drawing() as draw:
        for number, path in enumerate(paths, start=1):
            print(f"{number}/{len(paths)} {path} …", end=" ", flush=True)
            try:
                text = render(path, draw)
            except NotStoredError as reason:
                failed += 1
                print(f"NOT stored\n  {reason}", flush=True)
            else:
                path.write_text(text, encoding="utf-8")
                print(f"{len(text.encode()) / 1000:.0f} kB", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
