"""What can be wrong with the user's images."""


class DataError(Exception):
    """The images cannot be used as asked; the message says what was found, what was expected and what to do."""
