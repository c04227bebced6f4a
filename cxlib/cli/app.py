"""The program `cx`: its commands, and what becomes of errors."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

import typer
from typer import Option
from typer.core import TyperGroup

from cxlib.cli import describing, judging, lab, making, opportunities, sharing
from cxlib.cli.terminal import echo, say
from cxlib.errors import CxError
from cxlib.visible import visible

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
    "demo": making.demo,
    "init": making.init_map,
    "check": making.check_log,
    "ingest": making.ingest_log,
    "map": describing.print_map,
    "first-contacts": describing.print_first_contacts,
    "stages": describing.print_stages,
    "transitions": describing.print_transitions,
    "funnel": describing.print_funnel,
    "paths": describing.print_paths,
    "compare": describing.compare_parts,
    "findings": judging.print_findings,
    "perception": describing.print_perception,
    "comments": describing.print_comments,
    "preferences": describing.print_preferences,
    "drivers": describing.print_drivers,
    "loyalty": describing.print_loyalty,
    "attribution": opportunities.print_attribution,
    "what-if": opportunities.print_what_if,
    "plan": opportunities.print_plan,
    "expansion": opportunities.print_expansion,
    "personas": opportunities.print_personas,
    "next": opportunities.print_next,
    "priorities": opportunities.print_priorities,
    "predict": judging.print_predictions,
    "watch": judging.watch,
    "selftest": judging.selftest,
    "publish": sharing.publish_views,
    "snapshots": sharing.print_snapshots,
    "changes": sharing.print_changes,
    "export": sharing.export_views,
    "report": sharing.write_report,
    "serve": sharing.serve,
    "lab": lab.open_lab,
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
    version: bool = Option(
        False,
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version and end.",
    ),
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
