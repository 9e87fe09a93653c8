"""Where the command begins: before its imports, so that Ctrl-C while they last ends as it does later."""

from __future__ import annotations

import gc

SELDOM = 50_000
"""Objects after which Python looks for cycles that nobody holds, in place of 700: imports make many objects and drop few, and
looking through them took a fifteenth of a check."""


def main() -> None:
    """Run the command that the arguments of this process ask for."""
    gc.set_threshold(SELDOM)
    try:
        from fastgrad_cli.main import main as command
    except KeyboardInterrupt:
        from fastgrad_cli.terminal import leave_interrupted

        leave_interrupted()
    try:
        command(prog_name="fastgrad")
    finally:
        gc.freeze()  # as it ends Python looks through all objects once more: another tenth
