"""Runs the commands as a shell does, each in a process of its own, but without waiting for TensorFlow to load.

Where the system can fork, the process is forked from one that has loaded TensorFlow, which takes most of a short
command's time. TensorFlow reads whether to use oneDNN as it loads, so another choice takes a new process.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

ONEDNN = 'TF_ENABLE_ONEDNN_OPTS'

_loaded_with = os.environ.get(ONEDNN)
_context = multiprocessing.get_context('forkserver' if hasattr(os, 'fork') else 'spawn')
if hasattr(os, 'fork'):
    _context.set_forkserver_preload(['dcgan', 'tensorflow.compat.v1'])


def run_script(script, *flags, cwd=None, timeout=120, prepare=None):
    """Runs a script of the checkout, e.g. 'sample.py'; returns a CompletedProcess with its output as text.

    ``prepare``, a function of a module, is called in its process first.

    Raises:
      subprocess.TimeoutExpired: it did not end within ``timeout`` seconds.
    """
    arguments = [str(ROOT / script), *map(str, flags)]
    if os.environ.get(ONEDNN) != _loaded_with:
        assert prepare is None
        return subprocess.run([sys.executable, *arguments], cwd=cwd, timeout=timeout, capture_output=True, text=True,
                              check=False)
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ('stdout', 'stderr')]
        process = _context.Process(target=_run, args=(
            arguments, cwd or os.getcwd(), dict(os.environ), outputs, prepare))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout)
        stdout, stderr = (path.read_text(errors='backslashreplace') for path in outputs)
        return subprocess.CompletedProcess(arguments, process.exitcode, stdout, stderr)


def _run(arguments, cwd, environment, outputs, prepare):
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.argv = arguments
    if prepare is not None:
        prepare()
    runpy.run_path(arguments[0], run_name='__main__')
