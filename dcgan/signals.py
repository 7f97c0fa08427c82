"""The signals that ask a process to stop."""

import contextlib
import os
import signal
import socket
import sys
import threading

# Ctrl-C, a scheduler's stop, and a closed terminal or ssh connection, as far as the system has them.
STOP_SIGNALS = tuple(getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, name))
SIGPIPE = getattr(signal, 'SIGPIPE', 13)


def handle_stop_signals(handler):
    """Installs a handler for all stop signals except those that nohup or a shell has set to be ignored.

    Args:
      handler: function of the signal's number and the frame, or {number: handler} as this returned it.

    Returns:
      {number: the previous handler}.
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


def exit_now(status):
    """Ends this process without unwinding: nothing else ends one whose thread waits in TensorFlow."""
    with contextlib.suppress(Exception):  # print() may be what was interrupted
        sys.stdout.flush()
    os._exit(status)


def exit_status(number):
    """Returns the exit status of a training run that a signal stopped, after saving.

    Ctrl-C is a deliberate stop: 0. Other signals: 128 + the number; to a scheduler, 0 means "done, do not restart".
    """
    return 0 if number == signal.SIGINT else 128 + number
