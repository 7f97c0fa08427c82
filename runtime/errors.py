"""What the run directory answers where it cannot be used as asked."""

import re


class RunError(Exception):
    """The run cannot go on as asked; the message says what was found, what was expected and what to do."""


def reason_of(error):
    """Returns in a few words why reading or writing a file failed, of an OSError or what TensorFlow raised."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # TensorFlow writes '...path; No space left on device' amid lines that tell of the graph.
    message = getattr(error, 'message', str(error)).strip() or type(error).__name__
    found = re.search(r'; ([A-Z][^;\n\[]*)', message)
    return found[1].strip() if found else message.splitlines()[0]
