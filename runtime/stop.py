"""How a script ends before its end: by Ctrl-C and SIGTERM, by a mistake, by a reader of its output that is gone.

For training, Ctrl-C is a wanted stop, and gives 0. SIGTERM mostly comes from a scheduler, which would read 0 as "done"
and not start the run again: it gives the usual 128 + 15 = 143.
"""

import contextlib
import os
import signal
import sys

SIGNALS = signal.SIGINT, signal.SIGTERM


def leave_on_signals(sentence, interrupt_status=128 + signal.SIGINT):
    """From here on, Ctrl-C and SIGTERM end the script at once with a line.

    It is called before TensorFlow is loaded, as that takes seconds.

    Args:
      sentence: what the line says.
      interrupt_status: the exit status where it was Ctrl-C.
    """
    def leave(number, frame):
        _say(sentence)
        sys.exit(interrupt_status if number == signal.SIGINT else 128 + number)

    for number in SIGNALS:
        signal.signal(number, leave)


def abandon(number, frame):
    """Handler of a second signal, one that does not wait until all is saved."""
    _say('stopped at once, before all was saved; the same command goes on from the last checkpoint')
    sys.exit(128 + number)


def exit_status(number):
    """Returns the exit status of a script that saved, and stopped because of that signal."""
    return 0 if number == signal.SIGINT else 128 + number


@contextlib.contextmanager
def answering(script, *mistakes):
    """Ends the script, in this context, with the sentence of a mistake, and with 141 where nobody reads what it prints.

    Args:
      script: its name.
      mistakes: the exceptions whose message is such a sentence.
    """
    try:
        yield
        sys.stdout.flush()
    except mistakes as error:
        sys.exit(f'{script}: {error}')
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def _say(sentence):
    with contextlib.suppress(OSError):  # nobody may be there to read it
        os.write(sys.stdout.fileno(), f'\n{sentence}\n'.encode())  # print() may be what was interrupted
