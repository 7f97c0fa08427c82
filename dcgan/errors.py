"""Errors that the user can fix."""

import re


class UserError(Exception):
    """Something that the user can fix: the message says what is wrong, what was expected, and what to do next."""


def counted(count, noun):
    """Returns a number and a noun, e.g. '1 image' or '2,000 images'."""
    return f'{count:,} {noun}{"s"[:count != 1]}'


def reason_of(error):
    """Returns in a few words why a file could not be read or written, from an OSError or an error of TensorFlow."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # TensorFlow writes '...path; No space left on device' among lines about the graph.
    message = getattr(error, 'message', str(error)).strip() or type(error).__name__
    found = re.search(r'; ([A-Z][^;\n\[]*)', message)
    return found[1].strip() if found else message.splitlines()[0]
