"""Kills a real run at random moments, fifty times, and compares what it leaves with what the undisturbed run leaves.

    python -m tests.soak                          # 12 minutes on two cores
    python -m tests.soak --kills=10 --seed=7 -- --precision=bfloat16

What follows -- is for train.py. Every other kill waits for a file that is just being written. The run is of a small
model on the embedded faces, with a checkpoint every ten steps; nothing of it is kept unless the two differ.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags

from tests.runs import assert_same_run, saved_steps

FLAGS = flags.FLAGS

flags.DEFINE_integer('kills', 50, 'How often to kill the run.', lower_bound=1)
flags.DEFINE_integer('steps', 4000, 'Of the run.', lower_bound=1)
flags.DEFINE_float('longest', 12.0, 'The latest moment of a kill, in seconds from the start.', lower_bound=0.1)
flags.DEFINE_integer('seed', 0, 'Decides the moments.')

SCRIPT = Path(__file__).parent.parent / 'train.py'


def start(folder, more):
    return subprocess.Popen(
        [sys.executable, SCRIPT, f'--model_dir={folder}', f'--max_steps={FLAGS.steps}', '--batch_size=16',
         '--g_depths=64,32,16,8', '--d_depths=8,16,32,64', '--save_steps=10', '--log_steps=5', '--sample_steps=50',
         '--epochs=1000000', *more],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


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


def main(argv):
    folder = Path(tempfile.mkdtemp(prefix='soak-'))
    undisturbed = start(folder / 'undisturbed', argv[1:])
    said = undisturbed.communicate()[0]
    if undisturbed.returncode:
        raise SystemExit(said)
    moments = random.Random(FLAGS.seed)
    for number in range(1, FLAGS.kills + 1):
        moment, is_aimed = moments.uniform(0.0, FLAGS.longest), number % 2 == 0
        if kill(start(folder / 'killed', argv[1:]), folder / 'killed', moment, is_aimed):
            raise SystemExit(f'the run was done before kill {number}; more --steps would do')
        print(f'kill {number} after {moment:.2f} s{", in a write" if is_aimed else ""}: the newest checkpoint is '
              f'{max(saved_steps(folder / "killed"), default=None)}', flush=True)
    last = start(folder / 'killed', argv[1:])
    said = last.communicate()[0]
    if last.returncode:
        raise SystemExit(said)
    try:
        assert_same_run(folder / 'killed', folder / 'undisturbed')
    except AssertionError as error:
        raise SystemExit(f'the runs in {folder} differ: {error}') from error
    shutil.rmtree(folder)
    print(f'killed {FLAGS.kills} times, the run left what the undisturbed one left, bit for bit')


if __name__ == '__main__':
    app.run(main)
