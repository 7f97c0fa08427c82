"""Time from a command to the end of its first step, each in a new process.

``python -m dcgan.benchmark.start PACK`` is the baseline: it loads TensorFlow, builds the graph and trains one step.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dcgan.benchmark.training import Training
from dcgan.errors import UserError

ROOT = Path(__file__).parents[2]


class Start(NamedTuple):
    """Seconds from the command to the end of the first step, and the peak memory of the process in bytes."""

    seconds: float
    memory: int


def training(dataset_dir):
    """Runs ``train.py`` for one step in float32; it makes the pack of the images if its cache lacks it.

    Args:
      dataset_dir: the images; None is the embedded faces.

    Returns:
      A Start.

    Raises:
      UserError: it failed; the message holds its output.
    """
    with tempfile.TemporaryDirectory() as folder:
        flags = [f'--model_dir={folder}/run', '--preset=article', '--max_steps=1']
        if dataset_dir is not None:
            flags.append(f'--dataset_dir={Path(dataset_dir).expanduser().absolute()}')
        return _start([ROOT / 'train.py', *flags], b'step 1/1')


def baseline(pack):
    """Runs the baseline on the images of a pack, a Path; returns a Start, raises UserError if it fails.

    Its garbage collector runs while TensorFlow loads, as by default; ``train.py`` turns it off.
    """
    return _start(['-m', 'dcgan.benchmark.start', pack], b'done')


def _start(arguments, marker):
    """Returns the Start of a script that prints ``marker``, bytes, to its standard error after the first step."""
    start, output = time.perf_counter(), b''
    with subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as process:
        seconds = None
        while chunk := process.stderr.read1():
            output += chunk
            if seconds is None and marker in output:
                seconds = time.perf_counter() - start
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or seconds is None:
        raise UserError(f'{" ".join(map(str, arguments))} ended with status {process.returncode}:\n'
                        f'{output.decode().strip()}')
    unit = 1 if sys.platform == 'darwin' else 1024  # bytes
    return Start(seconds, usage.ru_maxrss * unit)


def _main(pack):
    with Training(np.load(pack, mmap_mode='r'), 'float32') as training:
        training.train(1)
        print('done', file=sys.stderr, flush=True)


if __name__ == '__main__':
    _main(sys.argv[1])
