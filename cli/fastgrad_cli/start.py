"""Where the command begins: before its imports, so that Ctrl-C while they last ends as it does later."""

from __future__ import annotations


def main() -> None:
    """Run the command that the arguments of this process ask for."""
    try:
        from fastgrad_cli.main import main as command
    except KeyboardInterrupt:
        from fastgrad_cli.terminal import leave_interrupted

        leave_interrupted()
    command(prog_name="fastgrad")
