"""Runs the commands as a shell does, each in a process of its own, but without waiting for TensorFlow to load.

Where the system can fork, the process is forked from one that has loaded TensorFlow, which takes most of a short
command's time. TensorFlow reads whether to use oneDNN as it loads, so another choice takes a new process.
"""

import atexit
import multiprocessing
import os
import re
import runpy
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TIMEOUT = 300.0  # seconds for anything that a test waits for, on a busy machine
ONEDNN = 'TF_ENABLE_ONEDNN_OPTS'

_loaded_with = os.environ.get(ONEDNN)
_spawn = multiprocessing.get_context('spawn')
_fork = multiprocessing.get_context('forkserver') if hasattr(os, 'fork') else _spawn
_fork.set_forkserver_preload(['dcgan', 'tensorflow.compat.v1', 'imageio.v3', 'filelock', 'tqdm'])


class Running:
    """A script of the checkout that runs in a process of its own, until ``end`` or the end of the tests."""

    def __init__(self, script, *flags, cwd=None, prepare=None, environment=()):
        """Starts it.

        Args:
          script: e.g. 'sample.py'.
          flags: its arguments; each becomes a str.
          cwd: the folder to run in.
          prepare: a function of a module, to be called in the process first.
          environment: (name, value) pairs, or a dict, of more environment variables.
        """
        self._folder = tempfile.TemporaryDirectory()
        self._arguments = [str(ROOT / script), *map(str, flags)]
        self._outputs = [Path(self._folder.name, name) for name in ('stdout', 'stderr')]
        for path in self._outputs:
            path.touch()
        context = _fork if os.environ.get(ONEDNN) == _loaded_with else _spawn
        self._process = context.Process(target=_run, args=(
            self._arguments, cwd or os.getcwd(), {**os.environ, **dict(environment)}, self._outputs, prepare))
        self._process.start()
        atexit.register(self.kill)  # before multiprocessing waits for it

    @property
    def said(self):
        """What it has written so far: standard output, then standard error."""
        return ''.join(path.read_text(errors='backslashreplace') for path in self._outputs)

    def send_signal(self, number):
        """Sends it a signal."""
        os.kill(self._process.pid, number)

    def kill(self):
        """Ends it at once, if it still runs."""
        self._process.kill()
        self._process.join()

    def wait_until(self, condition):
        """Waits until ``condition()`` is true; fails if the process ends before that."""
        wait_until(lambda: condition() or self._process.exitcode is not None)
        assert condition(), self.said

    def wait_for(self, pattern):
        """Waits until it has written what a regular expression finds."""
        self.wait_until(lambda: re.search(pattern, self.said, re.MULTILINE))

    def end(self, timeout=TIMEOUT):
        """Waits for its end; returns a CompletedProcess with its output as text.

        Raises:
          subprocess.TimeoutExpired: it did not end within ``timeout`` seconds.
        """
        self._process.join(timeout)
        if self._process.is_alive():
            self.kill()
            raise subprocess.TimeoutExpired(self._arguments, timeout, self.said)
        atexit.unregister(self.kill)
        stdout, stderr = (path.read_text(errors='backslashreplace') for path in self._outputs)
        return subprocess.CompletedProcess(self._arguments, self._process.exitcode, stdout, stderr)


def run_script(script, *flags, cwd=None, timeout=TIMEOUT, prepare=None):
    """Runs a script to its end; see ``Running``. Returns a CompletedProcess with its output as text."""
    return Running(script, *flags, cwd=cwd, prepare=prepare).end(timeout)


def wait_until(condition):
    """Waits until ``condition()`` is true."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, 'waited too long'
        threading.Event().wait(0.05)


def _run(arguments, cwd, environment, outputs, prepare):
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY), descriptor)
    sys.argv = arguments
    if prepare is not None:
        prepare()
    runpy.run_path(arguments[0], run_name='__main__')
