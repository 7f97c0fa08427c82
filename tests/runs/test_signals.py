"""What asks a run to stop: signals, a reader that is gone, and a run directory that is gone."""

import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.commands import TIMEOUT, wait_until
from tests.small_runs import command, saved_steps, start_command


def start(faces, tmp_path, prepare=None):
    """Starts a run without an end, which saves at its start and when it is stopped."""
    return start_command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, epochs=10**6,
                         save_steps=10**6, log_steps=1, prepare=prepare)


def test_a_closed_terminal_saves_and_stops(faces, tmp_path):
    process = start(faces, tmp_path)
    process.wait_for('^step [1-9]')
    process.send_signal(signal.SIGHUP)
    done = process.end()
    assert done.returncode == 128 + signal.SIGHUP, done.stderr
    assert 'run the same command again to resume' in done.stdout
    assert max(saved_steps(tmp_path / 'run')) > 0


def ignore_signals():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_ignored_signals_stay_ignored(faces, tmp_path):
    """As nohup ignores SIGHUP, and a shell SIGINT for a command in the background."""
    process = start(faces, tmp_path, ignore_signals)
    process.wait_for('^step [1-9]')
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    count = process.said.count('step ')
    process.wait_until(lambda: process.said.count('step ') > count + 1)  # it goes on
    process.send_signal(signal.SIGTERM)
    done = process.end()
    assert done.returncode == 128 + signal.SIGTERM
    step = max(saved_steps(tmp_path / 'run'))
    assert f'step {step} is saved' in done.stdout
    assert 'Traceback' not in done.stderr


def wait_in_each_step():
    """As a step of the full size takes seconds, in TensorFlow."""
    import threading

    import tensorflow.compat.v1 as tf

    def before_run(self, run_context):
        print('first step', flush=True)
        threading.Event().wait()

    tf.train.StopAtStepHook.before_run = before_run


def test_a_second_signal_ends_the_run_at_once_and_the_last_checkpoint_stays(faces, tmp_path):
    process = start(faces, tmp_path, wait_in_each_step)
    process.wait_for('first step')
    process.send_signal(signal.SIGINT)
    process.wait_for('finishing this step')
    process.send_signal(signal.SIGINT)
    done = process.end()
    assert done.returncode == 128 + signal.SIGINT, done.stderr
    assert 'stopped at once, without saving' in done.stdout
    assert saved_steps(tmp_path / 'run') == [0]


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_while_tensorflow_loads_ends_the_command(tmp_path, number, status):
    process = subprocess.Popen(command(model_dir=tmp_path / 'run', cache_dir=tmp_path), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    status_file = Path(f'/proc/{process.pid}/status')
    wait_until(lambda: int(re.search(r'SigCgt:\s*(\w+)', status_file.read_text())[1], 16) >> (signal.SIGTERM - 1) & 1)
    process.send_signal(number)
    try:
        said = process.communicate(timeout=TIMEOUT)[0]
    finally:
        process.kill()
    assert (process.returncode, said.count('Traceback')) == (status, 0), said


def test_a_run_saves_and_stops_when_nobody_reads_its_output(faces, tmp_path):
    """As "| tee" is, by the Ctrl-C that the run gets, too."""
    process = subprocess.Popen(command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, epochs=10**6,
                                       save_steps=10**6), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert any(line.startswith('step 10/') for line in process.stdout)
    process.stdout.close()
    assert process.wait(timeout=TIMEOUT) == 128 + signal.SIGPIPE
    assert max(saved_steps(tmp_path / 'run')) > 0


def test_a_run_directory_that_is_removed_while_training_ends_the_run_with_the_reason(faces, tmp_path):
    run = tmp_path / 'run'
    process = start(faces, tmp_path)
    process.wait_for('step 2/')
    while run.exists():
        shutil.rmtree(run, ignore_errors=True)
    done = process.end()
    assert done.returncode == 1, done.stderr
    assert f'the run directory {run} was moved or removed while training; move it back' in done.stderr
    assert 'is saved in' not in done.stdout
