"""python -m fastgrad: the command, where it is not on the path. The one module of the library that reaches up to it."""

from fastgrad_cli.main import main

if __name__ == "__main__":
    main(prog_name="fastgrad")
