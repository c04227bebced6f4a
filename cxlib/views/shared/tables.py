"""Tables of a view: columns as they are declared, some cells in the view's own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from cxlib.columns import Columns
from cxlib.tables import Written

Cell = Callable[[Mapping[str, Any]], str]


def html_table(
    table: pl.DataFrame,
    columns: Columns,
    cells: Mapping[str, Cell | None],
    *,
    caption: str,
    headings: Mapping[str, str] | None = None,
) -> str:
    """Write the columns that have a cell as HTML that scrolls sideways within its own box.

    A cell says how a row is written in the column; None: as it is declared.
    """
    written = Written(
        headings=tuple((headings or {}).get(name) or columns.heading(name) for name in cells),
        is_number=tuple(columns[name].is_number for name in cells),
        rows=tuple(
            tuple(
                columns[name].cell(row, name, columns.ends(name)) if cell is None else cell(row)
                for name, cell in cells.items()
            )
            for row in table.iter_rows(named=True)
        ),
    )
    return written.to_html(caption=caption, scrolls=True)
