"""From a command to its first step, in processes of their own.

``python -m benchmark.start PACK`` is what there is to compare with: TensorFlow loaded, the graph built, one step.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import runtime  # noqa: F401 - before TensorFlow: it sets what TensorFlow reads when it is loaded

# isort: split

from benchmark.training import Training
from runtime.errors import RunError

ROOT = Path(__file__).parent.parent


class Start(NamedTuple):
    """Seconds from the command to the end of the first step, and the most bytes of memory that the process held."""

    seconds: float
    memory: int


def training(dataset_dir):
    """Runs ``train.py`` for one step, in float32, with the pack of its own cache, made before where there is none.

    Returns:
      A Start.

    Raises:
      RunError: it failed; the message is its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        more = [] if dataset_dir is None else [f'--dataset_dir={Path(dataset_dir).expanduser().absolute()}']
        return _start([ROOT / 'train.py', f'--model_dir={folder}/run', '--max_steps=1', *more], b'step 1/1')


def alone(pack):
    """Does what no training can do without, on the images of a pack's path; returns a Start, raises RunError.

    Python collects garbage while it loads TensorFlow, as it does by itself; that ``train.py`` does not is its gain.
    """
    return _start(['-m', 'benchmark.start', pack], b'done')


def _start(arguments, sign):
    """Returns a Start of a script that gives a sign on its standard error."""
    began, said = time.perf_counter(), b''
    with subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as process:
        seconds = None
        while chunk := process.stderr.read1():
            said += chunk
            if seconds is None and sign in said:
                seconds = time.perf_counter() - began
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or seconds is None:
        raise RunError(f'{" ".join(map(str, arguments))} ended with status {process.returncode}:\n'
                       f'{said.decode().strip()}')
    unit = 1 if sys.platform == 'darwin' else 1024
    return Start(seconds, usage.ru_maxrss * unit)


def _main(pack):
    with Training(np.load(pack, mmap_mode='r'), 'float32') as training:
        training.train(1)
        print('done', file=sys.stderr, flush=True)


if __name__ == '__main__':
    _main(sys.argv[1])
