"""The journey map as cards, one per stage, for narrow pages; and the details of one touchpoint.

Plain HTML that opens and closes by itself, by finger or by keyboard, without asking a server. Also
what a page can show at once, before anything live is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import polars as pl

from cxlib.figures.theme import (
    DARK,
    LIGHT,
    PRINT,
    Theme,
    channel_colours,
    light_dark,
    luminance,
    stage_colours,
    theme_named,
)
from cxlib.markup import html_text
from cxlib.numbers import answered, duration, people, plural, rating, share

if TYPE_CHECKING:
    from cxlib.measures.touchpoints import Touchpoints
    from cxlib.measures.transitions import Transitions

_TOO_FEW = "Too few customers to be shown."
_NEXT_SHOWN = 5


def page_style(theme: Theme | None = None) -> str:
    """Return the style sheet of cards and dashboards, in the colours of a theme.

    The light theme's follows its reader's browser: it is dark where that is dark, and on paper it
    is the one for printing.
    """
    theme = theme or theme_named()
    rules = (files("cxlib.figures") / "page.css").read_text(encoding="utf-8")
    if theme is not LIGHT:
        scheme = "dark" if luminance(theme.paper) < 0.5 else "light"
        return f".cx-page-style {{ {_variables(theme)}color-scheme: {scheme}; }}\n{rules}"
    return (
        f".cx-page-style {{ {_variables(LIGHT, DARK)}}}\n{rules}\n"
        f"@media print {{ .cx-page-style {{ {_variables(PRINT)}color-scheme: light; }} }}\n"
    )


_VARIABLES = ("paper", "band", "ink", "muted", "rule", "accent", "finding", "go_on", "lost")


def _variables(theme: Theme, dark: Theme | None = None) -> str:
    """Declare the theme's colours; with another theme for those who read white on black."""
    parts = []
    for name in _VARIABLES:
        colour = getattr(theme, name)
        if dark is not None:
            colour = f"light-dark({colour}, {getattr(dark, name)})"
        parts.append(f"--cx-{name.replace('_', '-')}: {colour}; ")
    return "".join(parts)


def touchpoint_cards(result: Touchpoints, *, transitions: Transitions | None = None) -> str:
    """Write the journey map as cards: one per stage, in it one line per touchpoint that opens.

    Parameters
    ----------
    result
        From `cxlib.measures.measure_touchpoints`.
    transitions
        For the same selection; says where customers go next.

    Returns
    -------
    str
        HTML; its style is `page_style`.
    """
    theme = theme_named()
    stages = _following(stage_colours(result.stages, theme))
    channels = _following(channel_colours(result.channels, theme))
    by_stage = {row["stage"]: row for row in result.by_stage.iter_rows(named=True)}
    parts = []
    for stage in result.stages:
        rows = result.table.filter(pl.col("stage") == stage).to_dicts()
        if not rows:
            continue
        lines = "".join(_line(row, channels, next_moves(transitions, row)) for row in rows)
        parts.append(
            f'<section class="cx-stage" style="--cx-stage: {stages[stage]}"><h2>{html_text(stage)}'
            f"<small>{_stage_facts(by_stage.get(stage))}</small></h2>{lines}</section>"
        )
    return f'<div class="cx-page-style cx-stages">{"".join(parts)}</div>'


def _following(colours: Mapping[str, str]) -> dict[str, str]:
    return {name: light_dark(colour) for name, colour in colours.items()}


def touchpoint_details(row: Mapping[str, Any], *, moves: Sequence[Mapping[str, Any]] = ()) -> str:
    """Write all that is known about one touchpoint: what happens next, who owns it, what to do.

    Parameters
    ----------
    row
        A row of the touchpoints' table.
    moves
        Rows of a transitions result by place that start here, the most frequent first.
    """
    if row["customers"] is None:
        return f"<p>{_TOO_FEW}</p>"
    facts = [
        ("Customers", people(row["customers"])),
        ("Contacts", people(row["contacts"])),
        ("Go on", share(row["go_on"], row["go_on_low"], row["go_on_high"])),
        ("Lost", _lost(row)),
    ]
    if row["done"]:
        facts.append(("Goal reached", share(row["done"], row["done_low"], row["done_high"])))
    if row["open"]:
        facts.append(("Still open", f"{share(row['open'])} of contacts"))
    if row["rating"] is not None:
        said = rating(row["rating"], row["rating_low"], row["rating_high"])
        answers = plural(row["rating_n"] or 0, "answer")
        facts.append(("Rating", f"{said}, {answers}{answered(row['response'])}"))
    if row["next_wait"] is not None:
        facts.append(("Next contact", f"half within {duration(row['next_wait'])}"))
    if row["owner"]:
        facts.append(("Owner", html_text(row["owner"])))
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f'{_bar(row)}<dl class="cx-facts-list">{listed}</dl>{_next(moves)}{_what_to_do(row)}'


def next_moves(transitions: Transitions | None, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the moves (rows of a result by place) from a touchpoint, the most frequent first."""
    if transitions is None:
        return []
    here = (
        (pl.col("source_touchpoint") == row["touchpoint"])
        & (pl.col("source_channel") == row["channel"])
        & (pl.col("source_stage") == row["stage"])
    )
    return transitions.table.filter(here & (pl.col("n") > 0)).sort("n", descending=True).to_dicts()


def _line(
    row: Mapping[str, Any], channels: Mapping[str, str], moves: Sequence[Mapping[str, Any]]
) -> str:
    rank = f'<span class="cx-rank">weakest no. {row["weakest"]}</span>' if _is_weak(row) else ""
    lost = f"lost {share(row['lost'])}" if row["lost"] is not None else "lost: not known"
    lost = _TOO_FEW if row["customers"] is None else lost
    return (
        f'<details class="cx-touchpoint"><summary>'
        f'<span class="cx-name">{html_text(row["touchpoint"])} {rank}</span>'
        f'<span class="cx-count">{people(row["customers"])}</span>'
        f'<span class="cx-channel" style="--cx-channel: {channels.get(row["channel"], "")}">'
        f"{html_text(row['channel'])}</span>"
        f'<span class="cx-lost">{lost}</span>{_bar(row)}</summary>'
        f"{touchpoint_details(row, moves=moves)}</details>"
    )


def _bar(row: Mapping[str, Any]) -> str:
    """Draw what comes after a contact as one bar of three parts, said in words beside it."""
    parts = [("go-on", row["go_on"]), ("done", row["done"]), ("lost", row["lost"])]
    if row["customers"] is None or any(value is None for _, value in parts):
        return ""
    widths = "".join(f'<i class="{name}" style="width: {100 * v:.2f}%"></i>' for name, v in parts)
    return f'<span class="cx-bar" aria-hidden="true">{widths}</span>'


def _lost(row: Mapping[str, Any]) -> str:
    if row["lost"] is None:
        return "not known: nobody was observed long enough"
    return share(row["lost"], row["lost_low"], row["lost_high"])


def _next(moves: Sequence[Mapping[str, Any]]) -> str:
    if not moves:
        return ""
    items = "".join(
        f"<li>{_target(m)} <small>({html_text(m['target_channel'])})</small>"
        f"<b>{people(m['n'])}</b></li>"
        for m in moves[:_NEXT_SHOWN]
    )
    return f'<h3>Where they go next</h3><ol class="cx-next">{items}</ol>'


def _target(move: Mapping[str, Any]) -> str:
    same = move["source"] == move["target"]
    return html_text(move["target_touchpoint"]) + (" again" if same else "")


def _what_to_do(row: Mapping[str, Any]) -> str:
    if not _is_weak(row):
        return ""
    owner = f"{html_text(row['owner'])}, who owns it," if row["owner"] else "whoever owns it"
    return (
        f"<h3>What to do</h3><p>One of the three places where most customers get lost. Ask {owner} "
        "what customers find after this contact, and why they stop there.</p>"
    )


def _is_weak(row: Mapping[str, Any]) -> bool:
    return row["weakest"] is not None and row["weakest"] <= 3


def _stage_facts(row: Mapping[str, Any] | None) -> str:
    if row is None or row["customers"] is None:
        return ""
    facts = plural(row["customers"], "customer")
    if row["rating"] is not None:
        facts += f" · rating {rating(row['rating'])}{answered(row['response'])}"
    return facts
