"""The one error of the library: what cannot be checked."""


class InputError(ValueError):
    """Something that cannot be checked; the message says what was expected, what was found, where, and what to do."""
