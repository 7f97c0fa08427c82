"""Kills a real run at random moments, fifty times, and compares what it leaves with what the undisturbed run leaves.

    python -m tests.soak                          # 9 minutes on two cores
    python -m tests.soak --kills=10 --seed=7 -- --precision=bfloat16
    python -m tests.soak --workers=3 --kills=9 --steps=2500 --longest=25 --seed=3   # 10 minutes

What follows -- is for train.py. Every other kill waits for a file that is just being written. Of several workers it is
any one that is killed, frozen, or ended by SIGTERM; within a minute the others must end, too, and name it, but after
SIGTERM all may have saved. The run is of a small model on the embedded faces, with a checkpoint every ten steps;
nothing of it is kept unless the two differ.
"""

import argparse
import random
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

from tests.small_runs import assert_same_run, saved_steps
from tests.workers import start

MINUTE = 60.0


def begin(folder, flags, workers):
    return start([[f'--model_dir={folder}', *flags]] * workers, image_size=64, batch_size=16, z_dim=100,
                 g_depths=[64, 32, 16, 8], d_depths=[8, 16, 32, 64], save_steps=10, log_steps=5, sample_steps=50,
                 epochs=1_000_000)


def finish(processes):
    for process in processes:
        said = process.communicate()[0]
        if process.returncode:
            raise SystemExit(said)


def disturb(processes, folder, moment, is_aimed, number, by):
    """Sends a signal to a worker at a moment, or when from then on a file is half-written.

    Returns:
      The seconds in which the other workers ended, None where the run had ended before.
    """
    victim = processes[number]
    until = time.monotonic() + moment
    while time.monotonic() < until and victim.poll() is None:
        time.sleep(0.001)
    while is_aimed and victim.poll() is None and not [*folder.rglob('*.part'), *folder.glob('*.tempstate*')]:
        pass
    victim.send_signal(by)
    since = time.monotonic()
    for process in processes:
        if process is not victim:
            said = process.communicate(timeout=MINUTE)[0]
            is_saved = process.returncode == 128 + signal.SIGTERM and by == signal.SIGTERM
            is_named = process.returncode == 1 and re.search(
                rf'train.py: (worker {number} .* does not answer|.* waited .* seconds for .*worker {number} )', said)
            if process.returncode and not (is_saved or is_named):
                raise SystemExit(f'the run ended by itself, with status {process.returncode}:\n{said}')
    took = time.monotonic() - since
    if by == signal.SIGSTOP:
        victim.kill()
    said = victim.communicate()[0]
    if victim.returncode not in (0, -signal.SIGKILL, 128 + signal.SIGTERM):
        raise SystemExit(f'the run ended by itself, with status {victim.returncode}:\n{said}')
    return None if victim.returncode == 0 else took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=50, help='how often to kill the run')
    parser.add_argument('--steps', type=int, default=4000, help='of the run')
    parser.add_argument('--longest', type=float, default=11.0, help='the latest moment of a kill, in seconds')
    parser.add_argument('--seed', type=int, default=0, help='decides the moments')
    parser.add_argument('--workers', type=int, default=1, help='how many train together')
    parser.add_argument('flags', nargs='*', help='for train.py')
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix='soak-'))
    flags = [f'--max_steps={options.steps}', *options.flags]
    finish(begin(folder / 'undisturbed', flags, options.workers))
    chance = random.Random(options.seed)
    ways = [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM] if options.workers > 1 else [signal.SIGKILL]
    for kill in range(1, options.kills + 1):
        moment, is_aimed = chance.uniform(0.0, options.longest), kill % 2 == 0
        number, by = chance.randrange(options.workers), chance.choice(ways)
        processes = begin(folder / 'killed', flags, options.workers)
        took = disturb(processes, folder / 'killed', moment, is_aimed, number, by)
        if took is None:
            raise SystemExit(f'the run was done before kill {kill}; more --steps would do')
        print(f'kill {kill} after {moment:.2f} s{", in a write" if is_aimed else ""}: '
              + (f'{by.name} to worker {number}, the others ended within {took:.1f} s; ' if options.workers > 1 else '')
              + f'the newest checkpoint is {max(saved_steps(folder / "killed"), default=None)}', flush=True)
    finish(begin(folder / 'killed', flags, options.workers))
    try:
        assert_same_run(folder / 'killed', folder / 'undisturbed', stopped_at=range(options.steps))
    except AssertionError as error:
        raise SystemExit(f'the runs in {folder} differ: {error}') from error
    shutil.rmtree(folder)
    print(f'killed {options.kills} times, the run left what the undisturbed one left, bit for bit')


if __name__ == '__main__':
    main()
