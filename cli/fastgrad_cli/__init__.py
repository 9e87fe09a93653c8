"""The command line of fastgrad: parse, call the library, print, exit code. It decides nothing about gradients."""
