"""The signals that ask a process to stop."""

import contextlib
import os
import signal
import socket
import sys
import threading

# Ctrl-C, what a scheduler sends, and a terminal or ssh connection that is gone, as far as the system has them.
STOP_SIGNALS = tuple(getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, name))
SIGPIPE = getattr(signal, 'SIGPIPE', 13)


def handle_stop_signals(handler):
    """Installs a handler for all stop signals but those that are ignored, as nohup and shells set them.

    Args:
      handler: function of the signal's number and the frame, or {number: handler} as this returned it.

    Returns:
      {number: the handler before}.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number, old in before.items():
        if old is not signal.SIG_IGN:
            signal.signal(number, handler[number] if isinstance(handler, dict) else handler)
    return before


@contextlib.contextmanager
def answering_at_once(first, second):
    """Answers stop signals in its context at once; Python's handlers run only when TensorFlow returns, seconds later.

    Args:
      first: what to say at the first signal.
      second: what to say at the second, which ends the process.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def answer():
        count = 0
        while number := reader.recv(1):
            if number[0] in STOP_SIGNALS:
                count += 1
                say(first if count == 1 else second)
                if count == 2:
                    os._exit(128 + number[0])

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writer.fileno())
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()
        thread.join()
        reader.close()


def say(sentence):
    """Prints a line from a signal handler."""
    with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
        os.write(sys.stdout.fileno(), f'\n{sentence}\n'.encode())  # print() may be what was interrupted


def exit_status(number):
    """Returns the exit status of training that saved and stopped because of a signal.

    Ctrl-C is a wanted stop: 0. A scheduler would read 0 as "done" and not start the run again: 128 + the number.
    """
    return 0 if number == signal.SIGINT else 128 + number
