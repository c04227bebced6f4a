"""The program `cx`: its commands, and what becomes of errors."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cxlib.cli.asking import print_funnel, print_map, print_transitions
from cxlib.cli.comparing import compare_parts, print_paths
from cxlib.cli.exporting import export_views, write_report
from cxlib.cli.judging import print_findings, selftest, watch
from cxlib.cli.lab import open_lab
from cxlib.cli.making import check_log, demo, ingest_log, init_map
from cxlib.cli.opportunities import (
    print_attribution,
    print_expansion,
    print_next,
    print_personas,
    print_plan,
    print_priorities,
    print_what_if,
)
from cxlib.cli.perceiving import print_comments, print_perception, print_preferences
from cxlib.cli.predicting import print_predictions
from cxlib.cli.publishing import print_changes, print_snapshots, publish_views
from cxlib.cli.returning import print_drivers, print_loyalty
from cxlib.cli.showing import serve
from cxlib.cli.terminal import echo, say
from cxlib.errors import CxError
from cxlib.visible import visible

__all__ = ["app", "main"]


_UsageError: Any = typer.BadParameter.__mro__[1]
"""What a command line that cannot be understood raises."""


class _Program(TyperGroup):
    """Says in one sentence on stderr what a user can mend, and ends with exit code 1."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except _UsageError as error:
            raise _shown(error) from None

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except _UsageError as error:
            raise _shown(error) from None
        except CxError as error:
            _fail(str(error))
        except BrokenPipeError:
            raise  # the reader of a pipe has read enough: the program ends quietly
        except OSError as error:
            named = f"{error.filename}: " if error.filename is not None else ""
            _fail(f"{named}{error.strerror or error}")


def _shown(error: Any) -> Any:
    """Return a complaint about the arguments that repeats them safely."""
    error.message = visible(error.message)
    return error


def _fail(sentence: str) -> None:
    say(f"Error: {sentence}")
    raise typer.Exit(1)


app = typer.Typer(
    name="cx",
    cls=_Program,
    help="Customer journeys: where they fragment, how sure that is, and what to mend first.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing boxes costs half a second of imports
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "init": init_map,
    "check": check_log,
    "ingest": ingest_log,
    "map": print_map,
    "transitions": print_transitions,
    "funnel": print_funnel,
    "paths": print_paths,
    "compare": compare_parts,
    "findings": print_findings,
    "perception": print_perception,
    "comments": print_comments,
    "preferences": print_preferences,
    "drivers": print_drivers,
    "loyalty": print_loyalty,
    "attribution": print_attribution,
    "what-if": print_what_if,
    "plan": print_plan,
    "expansion": print_expansion,
    "personas": print_personas,
    "next": print_next,
    "priorities": print_priorities,
    "predict": print_predictions,
    "watch": watch,
    "selftest": selftest,
    "publish": publish_views,
    "snapshots": print_snapshots,
    "changes": print_changes,
    "export": export_views,
    "report": write_report,
    "serve": serve,
    "lab": open_lab,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from cxlib import __version__

        echo(f"cx {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        echo(*context.get_help().split("\n"))


def _end(*_: object) -> None:
    """Tidy up and end: what is half written is removed on the way out."""
    say("Error: ended by SIGTERM before it was done; nothing was replaced")
    raise SystemExit(128 + signal.SIGTERM)


def main() -> None:
    """Run `cx` on the arguments of this process; Ctrl-C ends it without a word."""
    if sys.argv[1:2] not in (["serve"], ["lab"], ["demo"]):  # servers end in their own way
        signal.signal(signal.SIGTERM, _end)
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
