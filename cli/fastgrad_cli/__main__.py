"""python -m fastgrad_cli, where the command is not on the path."""

from fastgrad_cli.start import main

main()
