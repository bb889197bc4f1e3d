"""The one exception that means "the input is at fault", so that every caller can tell it from a bug."""


class InputError(ValueError):
    """Bad input: one line that says what was expected, what came and what to do.

    The command line prints it and exits with code 2; a library caller may catch it as a `ValueError`.

    Example:
        >>> import landscape as ls
        >>> try:
        ...     ls.Problem.balanced(classes=1, samples=2, width=6, depth=2, decay=1e-2)
        ... except ls.InputError as error:
        ...     print(error)
        expected at least 2 classes, got 1
    """
