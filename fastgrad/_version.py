"""The version, said once: the packaging and the library read it from here."""

__version__ = "0.1.0"
