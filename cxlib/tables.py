"""Tables written out: for people as HTML or Markdown, for files as CSV, for programs as JSON.

What a cell says is decided before (`cxlib.columns`); here it is put on paper, safely: HTML and
Markdown are escaped, and no cell of a CSV file is a formula to the spreadsheet that opens it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from cxlib.markup import html_text, markdown_text

if TYPE_CHECKING:
    import polars as pl
    from jinja2 import Template

__all__ = ["Written", "as_records", "csv_text", "plain"]

_HTML = """\
{%- for sentence in above %}<p>{{ sentence }}</p>{% endfor -%}
{%- if scrolls %}<div class="cx-scroll" tabindex="0" role="region" aria-label="Table">{% endif -%}
<table{% if scrolls %} class="cx-table"{% endif %}><caption>{{ caption|text }}</caption><thead><tr>
{%- for heading in table.headings %}<th scope="col"
{%- if table.is_number[loop.index0] %} class="number"{% endif %}>{{ heading|text }}</th>
{%- endfor -%}
</tr></thead><tbody>
{%- for row in table.rows %}<tr>
{%- for cell in row %}<td
{%- if table.is_number[loop.index0] %} class="number"{% endif %}>{{ cell|text }}</td>{% endfor -%}
</tr>{% endfor -%}
</tbody></table>
{%- if scrolls %}</div>{% endif %}"""


@dataclass(frozen=True, slots=True)
class Written:
    """A table in words: headings, rows of texts, and which columns are numbers.

    Where there is no room for all columns, those of most `weight` stay.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_number: tuple[bool, ...]
    weight: tuple[int, ...] = ()

    def to_html(self, *, caption: str, above: Sequence[str] = (), scrolls: bool = False) -> str:
        """Write it as HTML; on a page it scrolls sideways within a box of its own."""
        return _template().render(table=self, caption=caption, above=above, scrolls=scrolls)

    def to_markdown(self) -> str:
        r"""Write it as a Markdown table.

        >>> print(Written(("name", "n"), (("a|b", "1"),), (False, True)).to_markdown())
        | name | n |
        | --- | ---: |
        | a\|b | 1 |
        """
        rule = ["---:" if number else "---" for number in self.is_number]
        head, *rows = ([markdown_text(cell) for cell in row] for row in (self.headings, *self.rows))
        return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *rows))


@cache
def _template() -> Template:
    from jinja2 import Environment
    from markupsafe import Markup

    environment = Environment(autoescape=True)
    environment.filters["text"] = lambda text: Markup(html_text(text))
    return environment.from_string(_HTML)


def csv_text(table: pl.DataFrame, origin: Mapping[str, str] | None = None) -> str:
    """Write a table as CSV, where it comes from in the last columns of every row.

    Durations are written in seconds, in columns named so. A name that a spreadsheet would take for
    a formula gets an apostrophe in front: names come from the log, and the file leaves the house.

    >>> import polars as pl
    >>> print(csv_text(pl.DataFrame({"name": ["=1+1"], "wait": [timedelta(minutes=1)]})), end="")
    name,wait_seconds
    '=1+1,60.0
    """
    import polars as pl
    from polars import selectors

    durations = [
        pl.col(name).dt.total_microseconds().truediv(1e6).alias(f"{name}_seconds")
        if dtype == pl.Duration
        else pl.col(name)
        for name, dtype in table.schema.items()
    ]
    named = selectors.string() | selectors.categorical() | selectors.enum()
    safe = pl.when(named.str.contains(r"^[=+\-@\t\r]")).then("'" + named).otherwise(named)
    given = table.with_columns(**{n: pl.lit(value) for n, value in (origin or {}).items()})
    columns = [*durations, *(pl.col(n) for n in origin or ())]
    words = given.with_columns(named.cast(pl.String))
    return words.with_columns(safe.name.keep()).select(columns).write_csv()


def as_records(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Turn a table into plain values for JSON.

    Durations become seconds, in a field named so (``wait`` → ``wait_seconds``); instants ISO 8601
    texts; what is not known, None.

    >>> import polars as pl
    >>> as_records(pl.DataFrame({"wait": [timedelta(minutes=2)], "share": [float("nan")]}))
    [{'wait_seconds': 120.0, 'share': None}]
    """
    import polars as pl

    names = {n: f"{n}_seconds" if d == pl.Duration else n for n, d in table.schema.items()}
    return [
        {names[name]: plain(value) for name, value in row.items()}
        for row in table.iter_rows(named=True)
    ]


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: no NaN, no infinity, no dates, tables as their rows."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case timedelta():
            return value.total_seconds()
        case datetime() | date():
            return value.isoformat()
        case Mapping():
            return {str(k): plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
        case _ if hasattr(value, "iter_rows"):
            return as_records(value)
        case _:
            return value
