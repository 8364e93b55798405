"""One training run from the shell: `python -m trainer --recipe classifier_lab --folder lab`."""

from __future__ import annotations

import sys

INTERRUPTED = 130  # what shells use for Ctrl-C


def main(argv: list[str] | None = None) -> int:
    """Run the command and give its exit code."""
    try:
        from trainer.commands import run_command  # Ctrl-C may come while this imports

        return run_command(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt as interrupt:
        print(interrupt.args[0] if interrupt.args else "Interrupted.")
        return INTERRUPTED
    except Exception as error:  # some code wraps what interrupts it, as Python 3.11 where classes are made
        if not isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            raise
        print("Interrupted.")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
