"""Errors that are the user's to solve."""

import re


class UserError(Exception):
    """Something the user can change: the message says what is wrong, what was expected, and what to do next."""


def reason_of(error):
    """Returns in a few words why a file could not be read or written, of an OSError or of TensorFlow's errors."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # TensorFlow writes '...path; No space left on device' among lines about the graph.
    message = getattr(error, 'message', str(error)).strip() or type(error).__name__
    found = re.search(r'; ([A-Z][^;\n\[]*)', message)
    return found[1].strip() if found else message.splitlines()[0]
