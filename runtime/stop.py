"""Ctrl-C and SIGTERM: what a script does of them outside of its steps, and the exit status that they give.

Ctrl-C is a wanted stop, and gives 0. SIGTERM mostly comes from a scheduler, which would read 0 as "done" and not start
the run again: it gives the usual 128 + 15 = 143.
"""

import contextlib
import os
import signal
import sys

SIGNALS = signal.SIGINT, signal.SIGTERM


def leave_on_signals():
    """From here on, Ctrl-C and SIGTERM end the script at once with a line: there is nothing to save.

    It is called before TensorFlow is loaded, as that takes seconds.
    """
    for number in SIGNALS:
        signal.signal(number, _leave)


def abandon(number, frame):
    """Handler of a second signal, one that does not wait until all is saved."""
    _say('stopped at once, before all was saved; the same command goes on from the last checkpoint')
    sys.exit(128 + number)


def exit_status(number):
    """Returns the exit status of a script that saved, and stopped because of that signal."""
    return 0 if number == signal.SIGINT else 128 + number


def _leave(number, frame):
    _say('stopped; nothing was to be saved, and the same command goes on from here')
    sys.exit(exit_status(number))


def _say(sentence):
    with contextlib.suppress(OSError):  # nobody may be there to read it
        os.write(sys.stdout.fileno(), f'\n{sentence}\n'.encode())  # print() may be what was interrupted
