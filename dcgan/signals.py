"""The signals that ask a process to stop."""

import contextlib
import os
import signal
import sys

# Ctrl-C, a scheduler's stop, and a closed terminal or ssh connection, as far as the system has them.
STOP_SIGNALS = tuple(getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, name))
SIGPIPE = getattr(signal, 'SIGPIPE', 13)


@contextlib.contextmanager
def handling_stop_signals(handler):
    """A context in which all stop signals have this handler, except those that nohup or a shell has set to be ignored.

    Args:
      handler: function of the signal's number and the frame.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number, old in before.items():
        if old is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def say(sentence):
    """Prints a line from a signal handler."""
    with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
        os.write(sys.stdout.fileno(), f'\n{sentence}\n'.encode())  # print() may be what was interrupted


def exit_now(status):
    """Exits immediately, even if a thread is blocked in TensorFlow."""
    with contextlib.suppress(Exception):  # print() may be what was interrupted
        sys.stdout.flush()
    os._exit(status)
