"""Text stays text: names and sentences put into HTML, into Plotly's figures and into Markdown.

A touchpoint may be called ``*sale* _now_``, ``$100-$200 plan`` or ``<a href=…>``. Wherever such a
name is put into markup it goes through the function of that markup, and appears as written.
"""

from __future__ import annotations

import re
import textwrap
from html import escape

# MathJax, which notebooks load, takes what stands between two dollars, or between \( and \), for a
# formula; it looks for both in one piece of text, so that an element of its own ends the search.
_DOLLAR, _BACKSLASH = "<span>&#36;</span>", "<span>&#92;</span>"
_IN_LINE = re.compile(r"([`*_\[\]~|^])")
_AT_START = re.compile(r"^(\s*\d*)(?=[#+=-]+(?:\s|$)|(?<=\d)[.)](?:\s|$))")
# addresses become links by themselves
_ADDRESSES = {"://": "&#58;//", "www.": "www&#46;", "@": "&#64;"}


def html_text(text: str) -> str:
    """Write text between the tags of HTML; inside an attribute `html.escape` is enough.

    >>> html_text("<b>help</b> & co"), html_text("$a")
    ('&lt;b&gt;help&lt;/b&gt; &amp; co', '<span>&#36;</span>a')
    """
    return escape(text).replace("$", _DOLLAR).replace("\\", _BACKSLASH)


def plotly_text(text: str) -> str:
    """Write text in a figure: Plotly reads tags, links, entities and, between dollars, formulas.

    Its quotation marks stay, as Plotly does not know ``&quot;``.

    >>> plotly_text('<a href="x">$1</a>')
    '&lt;a href="x"&gt;&#36;1&lt;/a&gt;'
    """
    return escape(text, quote=False).replace("$", "&#36;")


def plotly_bold(text: str) -> str:
    """Write text in bold in a figure."""
    return f"<b>{plotly_text(text)}</b>"


def plotly_span(markup: str, colour: str, size: int | None = None) -> str:
    """Colour what is written already in a figure, in so many pixels where they are given."""
    return f"<span style='color:{colour}{f';font-size:{size}px' if size else ''}'>{markup}</span>"


def plotly_lines(*lines: str) -> str:
    """Put what is written already in a figure below one another."""
    return "<br>".join(lines)


def hover(head: str, *lines: str) -> str:
    """Write what a figure says when pointed at: a heading, and lines; empty ones are left out.

    >>> hover("<b>help</b>", "3 customers", "")
    '<b>&lt;b&gt;help&lt;/b&gt;</b><br>3 customers'
    """
    heading = textwrap.wrap(plotly_text(head), 80, break_on_hyphens=False) or [""]
    said = [plotly_text(line) for line in lines if line]
    return plotly_lines(f"<b>{plotly_lines(*heading)}</b>", *said)


def markdown_text(text: str) -> str:
    r"""Write text in a line of Markdown: in a sentence, a cell of a table, or an entry of a list.

    >>> markdown_text("*sale* _now_"), markdown_text("a | b"), markdown_text("# <b>1</b>")
    ('\\*sale\\* \\_now\\_', 'a \\| b', '\\# &lt;b&gt;1&lt;/b&gt;')
    """
    plain = escape(" ".join(text.splitlines()), quote=False)
    plain = _BACKSLASH.join(_IN_LINE.sub(r"\\\1", part) for part in plain.split("\\"))
    for part, written in _ADDRESSES.items():
        plain = plain.replace(part, written)
    # what would begin a heading or a list is no beginning of one
    return _AT_START.sub(r"\1\\", plain).replace("$", _DOLLAR)
