"""Standard output and error that cannot end a run: closed, on a full disk, or unable to show a name."""

import os
import re
import sys

# Control characters, which a file's name may hold, except those that text and progress bars need.
CONTROL = re.compile(r'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]')
CURSOR_UP = re.compile(r'(?:\x1b\[A)+')  # what tqdm writes between bars, by itself


def protect_standard_streams():
    """Opens what is closed, and wraps standard output and error, so that writing to them never fails.

    Only a reader that is gone (BrokenPipeError) still raises: ``command | head`` wants the command to end.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file that is opened would get its number, and with it what is printed
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, this one
    for name in 'stdout', 'stderr':
        stream = getattr(sys, name) or open(os.devnull, 'w')  # noqa: SIM115 - it lives as long as the process
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='backslashreplace')
        setattr(sys, name, _ProtectedStream(stream))


class _ProtectedStream:
    """A text stream that escapes control characters, and drops what cannot be written."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        if not CURSOR_UP.fullmatch(text):
            text = CONTROL.sub(lambda match: f'\\x{ord(match[0]):02x}', text)
        return self._try(self._stream.write, text)

    def flush(self):
        self._try(self._stream.flush)

    def __getattr__(self, name):
        return getattr(self._stream, name)

    @staticmethod
    def _try(function, *arguments):
        try:
            return function(*arguments)
        except BrokenPipeError:
            raise
        except (OSError, ValueError):  # a full disk, a terminal that is gone; a closed stream
            return None
