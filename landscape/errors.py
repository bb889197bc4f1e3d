"""The one exception that means "the input is at fault", so that every caller can tell it from a bug."""


class InputError(ValueError):
    """Bad input: one line that says what was expected, what came and what to do.

    The command line prints it and exits with code 2; a library caller may catch it as a `ValueError`.
    """
