"""The `sweep` command: its subcommands, and what becomes of errors."""

from __future__ import annotations

import sys
import tempfile
import traceback
from importlib.metadata import version
from typing import Annotated

import typer

from sweep.commands import (
    doctor,
    download,
    drive_in_job,
    launch,
    list_runs,
    logs,
    plan,
    report,
    resume,
    retry,
    status,
    stop,
)
from sweep.errors import EXIT_BUG, EXIT_USER_ERROR, SweepError
from trainer.errors import TrainerError

app = typer.Typer(
    name="sweep",
    help="Hyperparameter search under a walltime budget, on Slurm clusters and on one machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(doctor.doctor)
app.command()(plan.plan)
app.command()(launch.launch)
app.command()(resume.resume)
app.command()(retry.retry)
app.command()(status.status)
app.command()(stop.stop)
app.command()(report.report)
app.command("list")(list_runs.list_runs)
app.command()(logs.logs)
app.command()(download.download)
app.command(hidden=True)(drive_in_job.drive_in_job)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sweep {version('slurm-sweep')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hyperparameter search under a walltime budget, on Slurm clusters and on one machine."""


def main() -> None:
    """Run the command line. Mistakes of the user end with 1, bugs of ours with 3 and a log."""
    try:
        app()
    except (SweepError, TrainerError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except OSError as error:  # a full disk, a folder without permission: the machine's, and so the user's to mend
        print(f"error: {error.strerror}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except Exception:  # noqa: BLE001  # the last resort: a log and exit code 3 instead of a stack trace
        with tempfile.NamedTemporaryFile("w", prefix="sweep-bug-", suffix=".log", delete=False) as log:
            log.write(f"{' '.join(sys.argv)}\n{traceback.format_exc()}")
        print(f"This is a bug of sweep, not a mistake of yours. Please report it with {log.name}", file=sys.stderr)
        sys.exit(EXIT_BUG)
