"""Kills a real run at random moments, fifty times, and compares what it leaves with what the undisturbed run leaves.

    python -m tests.soak                          # 9 minutes on two cores
    python -m tests.soak --kills=10 --seed=7 -- --precision=bfloat16

What follows -- is for train.py. Every other kill waits for a file that is just being written. The run is of a small
model on the embedded faces, with a checkpoint every ten steps; nothing of it is kept unless the two differ.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.runs import assert_same_run, saved_steps

SCRIPT = Path(__file__).parent.parent / 'train.py'


def start(folder, flags):
    return subprocess.Popen(
        [sys.executable, SCRIPT, f'--model_dir={folder}', '--batch_size=16', '--g_depths=64,32,16,8',
         '--d_depths=8,16,32,64', '--save_steps=10', '--log_steps=5', '--sample_steps=50', '--epochs=1000000', *flags],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    said = process.communicate()[0]
    if process.returncode:
        raise SystemExit(said)


def kill(process, folder, moment, is_aimed):
    """Kills a run at a moment, or when from then on a file is half-written; returns whether it had ended before."""
    until = time.monotonic() + moment
    while time.monotonic() < until and process.poll() is None:
        time.sleep(0.001)
    while is_aimed and process.poll() is None and not [*folder.rglob('*.part'), *folder.glob('*.tempstate*')]:
        pass
    process.send_signal(signal.SIGKILL)
    said = process.communicate()[0]
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f'the run ended by itself, with status {process.returncode}:\n{said}')
    return process.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=50, help='how often to kill the run')
    parser.add_argument('--steps', type=int, default=4000, help='of the run')
    parser.add_argument('--longest', type=float, default=11.0, help='the latest moment of a kill, in seconds')
    parser.add_argument('--seed', type=int, default=0, help='decides the moments')
    parser.add_argument('flags', nargs='*', help='for train.py')
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix='soak-'))
    flags = [f'--max_steps={options.steps}', *options.flags]
    finish(start(folder / 'undisturbed', flags))
    moments = random.Random(options.seed)
    for number in range(1, options.kills + 1):
        moment, is_aimed = moments.uniform(0.0, options.longest), number % 2 == 0
        if kill(start(folder / 'killed', flags), folder / 'killed', moment, is_aimed):
            raise SystemExit(f'the run was done before kill {number}; more --steps would do')
        print(f'kill {number} after {moment:.2f} s{", in a write" if is_aimed else ""}: the newest checkpoint is '
              f'{max(saved_steps(folder / "killed"), default=None)}', flush=True)
    finish(start(folder / 'killed', flags))
    try:
        assert_same_run(folder / 'killed', folder / 'undisturbed')
    except AssertionError as error:
        raise SystemExit(f'the runs in {folder} differ: {error}') from error
    shutil.rmtree(folder)
    print(f'killed {options.kills} times, the run left what the undisturbed one left, bit for bit')


if __name__ == '__main__':
    main()
