"""The real command, serving the page."""

import subprocess
import sys

from tests.small_runs import SCRIPT as TRAIN
from tests.workers import await_server, free_addresses

SCRIPT = TRAIN.with_name('explore.py')


def flags_of(run):
    return [f'--model_dir={run}', f'--cache_dir={run.parent / "cache"}']


def command(port, *flags):
    return [sys.executable, SCRIPT, f'--port={port}', '--nobrowser', *flags]


def free_port():
    return int(free_addresses(1)[0].partition(':')[2])


def launch(words, port, start):
    """Starts a command line that serves the page; returns the process once it listens.

    Args:
      words: the command line.
      port: where it will listen.
      start: of the line that it prints just before it listens.
    """
    process = subprocess.Popen(words, cwd=SCRIPT.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith('page '):
            break
    assert lines[-1].startswith(start), ''.join(lines)
    await_server(f'127.0.0.1:{port}', process)
    return process
