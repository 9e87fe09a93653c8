"""The versions, said once: the packaging, the library and the command read them from here."""

__version__ = "0.1.0"

SCHEMA = 1
"""Version of the JSON documents; it changes when a key changes its meaning or goes."""
