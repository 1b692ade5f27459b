"""Runs the command line and turns every error into one sentence and an exit code."""

import os
import sys
import traceback

import typer

from spikec.cli import (
    bench_command,
    check_command,
    compile_command,
    energy_command,
    explain_command,
    inspect_command,
    plan_command,
    run_command,
)
from spikec.cli.output import print_error

OK, USAGE, INTERNAL, INTERRUPTED = 0, 2, 4, 130

# typer's own copy of click or click itself, by version: what a wrong command line raises is told by a class both export
_COMMAND_LINE: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    name="spikec",
    help="Compile trained neural networks into spiking neural networks: ONNX in, ONNX out.\n\n"
    "Exit codes: 0 good, 1 check failed, 2 usage, 3 model invalid or unsupported, 4 internal error, "
    "5 missing environment.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("plan")(plan_command.plan)
app.command("compile")(compile_command.compile_)
app.command("run")(run_command.run)
app.command("inspect")(inspect_command.inspect)
app.command("explain")(explain_command.explain)
app.command("bench")(bench_command.bench)
app.command("check")(check_command.check)
app.command("energy")(energy_command.energy)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version and exit.")
) -> None:
    if version:
        from spikec import __version__

        typer.echo(f"spikec {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


def main() -> None:
    """Entry point of the command ``spikec``."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    as_json = "--json" in arguments and arguments[0] != "check"  # which writes JSON into a file
    try:
        result = app(arguments, prog_name="spikec", standalone_mode=False, obj=list(arguments))
    except _COMMAND_LINE as error:
        print_error(error.format_message(), USAGE, as_json)  # type: ignore[attr-defined]
        return USAGE
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(as_json)
    except Exception as error:
        return _failed(error, as_json)
    if result == INTERRUPTED:  # what newer versions of typer make of Ctrl-C
        return _interrupted(as_json)
    return result if isinstance(result, int) else OK


def _interrupted(as_json: bool) -> int:
    print_error("interrupted", INTERRUPTED, as_json)
    return INTERRUPTED


def _failed(error: Exception, as_json: bool) -> int:
    """Errors made on purpose carry an exit code; any other is a fault of the program."""
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        print_error(str(error), code, as_json)
        return code
    print_error(
        f"internal error: {type(error).__name__}: {error} (set SPIKEC_TRACEBACK=1 to see where, and report it)",
        INTERNAL,
        as_json,
    )
    if os.environ.get("SPIKEC_TRACEBACK"):
        traceback.print_exc()
    return INTERNAL
