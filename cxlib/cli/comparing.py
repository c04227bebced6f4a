"""Commands that put parts and ways side by side: `cx compare`, `cx paths`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cxlib.cli.selecting import Asked, Json, WorkspaceFolder, about_a_part
from cxlib.cli.terminal import as_records, print_json, print_written
from cxlib.errors import InputError
from cxlib.numbers import plural

if TYPE_CHECKING:
    from cxlib.where import Where

__all__ = ["compare_parts", "print_paths"]

_PART = (
    "channel=NAME, period=FROM..TO, or a segment such as persona=explorer; give it again for more, "
    "or not at all for the whole log."
)
Measure = Annotated[
    Literal["touchpoints", "transitions", "handoffs", "first-contacts", "stages", "perception"],
    typer.Option(help="What is measured of both."),
]


def compare_parts(
    workspace: WorkspaceFolder,
    first: Annotated[
        list[str] | None,
        typer.Option("--a", metavar="NAME=VALUE", help=f"The first part: {_PART}"),
    ] = None,
    second: Annotated[
        list[str] | None, typer.Option("--b", metavar="NAME=VALUE", help="The second part.")
    ] = None,
    measure: Measure = "touchpoints",
    as_json: Json = False,
) -> None:
    """Put two parts of the log side by side, each difference with its interval."""
    import cxlib as cx

    opened = cx.open(workspace)
    measured = getattr(cx, f"measure_{measure.replace('-', '_')}")
    parts = [_read_part(option, told or []) for option, told in (("--a", first), ("--b", second))]
    found = cx.compare(opened, *parts, measure=measured)
    if as_json:
        print_json(as_records(found.table))
        return
    a, b = (" and ".join(told or ["the whole log"]) for told in (first, second))
    print_written(
        found.columns.written(found.table),
        title=f"{opened.journey_map.name}: {a} (first) beside {b} (second)",
        note=[f"{found.sentence}.", "Differences are associations: the parts may differ in more."],
        most=60,
    )


@about_a_part
def print_paths(
    asked: Asked,
    *,
    start: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="What follows this touchpoint.")
    ] = None,
    goal: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="What comes before this touchpoint.")
    ] = None,
    by: Annotated[
        Literal["touchpoint", "channel", "stage", "owner"],
        typer.Option(help="What a contact is called."),
    ] = "touchpoint",
    depth: Annotated[int, typer.Option(min=1, max=8, help="Steps.")] = 3,
) -> None:
    """Print the ways from or to a touchpoint, or the most frequent whole paths."""
    from cxlib.measures.path_tree import measure_path_tree
    from cxlib.measures.paths import measure_paths

    if start is not None and goal is not None:
        raise InputError(
            "--from and --to are two questions: give one; for how many go from the one to the "
            "other ask cx funnel --step A --step B"
        )
    opened = asked.workspace
    options: dict[str, Any] = {"by": by, "where": asked.where}
    middle = goal if start is None else start
    if middle is None:
        paths = measure_paths(opened, **options)
        rest = f"{paths.others:,} rarer paths of {plural(paths.others_journeys, 'journey')}"
        asked.show(
            paths,
            f"{plural(paths.paths, 'path')} of {plural(paths.journeys, 'journey')}",
            note=f"Not shown: {rest} ({paths.others_share:.0%}).",
        )
        return
    tree = measure_path_tree(
        opened, start=middle, forwards=start is not None, depth=depth, **options
    )
    asked.show(
        tree,
        tree.sentences()[0],
        note=f"{plural(tree.journeys, 'journey')} of {tree.all_journeys:,} come through {middle}, "
        f"each counted {'from its first' if tree.forwards else 'to its last'} contact there. "
        "Branches of one step add up to the step before.",
    )


def _read_part(option: str, told: list[str]) -> Where | None:
    """Read a part from its conditions."""
    from cxlib.where import Where

    asked: dict[str, Any] = {}
    new: dict[str, Any]
    for condition in told:
        name, is_pair, value = (text.strip() for text in condition.partition("="))
        if not is_pair or not name or not value:
            raise InputError(
                f"{option} {condition!r} is not NAME=VALUE; write persona=explorer, channel=web or "
                "period=2025-03..2025-06"
            )
        if name == "period":
            since, is_range, until = value.partition("..")
            new = {"since": since or None, "until": (until if is_range else since) or None}
        else:
            new = {"channel": value} if name == "channel" else {"segment": {name: value}}
        if twice := new.keys() & asked.keys():
            raise InputError(f"{option} names {min(twice)} twice; give each condition once")
        asked |= new
    return Where(**asked) if asked else None
