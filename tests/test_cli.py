"""What all commands share: help and typos before TensorFlow, signals, closed or full standard streams."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from dcgan.streams import _ProtectedStream
from tests.commands import run_script
from tests.small_runs import SCRIPT, command, run_command, saved_steps

COMMANDS = ['train.py', 'sample.py', 'evaluate.py', 'compare.py', 'export.py', 'explore.py', 'bench.py']
IN_PROCESS = '''
import runpy, sys
sys.argv = [{script!r}, *{arguments!r}]
try:
    runpy.run_path({script!r}, run_name='__main__')
except SystemExit as leaving:
    assert 'tensorflow' not in sys.modules
    raise
'''


def run(script, *arguments):
    """Runs a command, and fails if it loads TensorFlow."""
    return subprocess.run([sys.executable, '-c', IN_PROCESS.format(script=script, arguments=list(arguments))],
                          capture_output=True, text=True, timeout=60, check=False, cwd=SCRIPT.parent)


@pytest.mark.parametrize('script', COMMANDS)
def test_help_is_printed_before_tensorflow_is_loaded(script):
    done = run(script, '--help')
    assert (done.returncode, done.stderr) == (0, '')
    assert f'python {script}' in done.stdout
    assert re.search(r'^ +--', done.stdout, re.MULTILINE)
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('script', COMMANDS)
@pytest.mark.parametrize(('argument', 'message'), [
    ('runs/x', "unexpected argument 'runs/x'; use flags, e.g. --"),
    ('--no_such_flag=1', "Unknown command line flag 'no_such_flag'"),
])
def test_a_typo_gets_one_line_before_tensorflow_is_loaded(script, argument, message):
    done = run(script, argument)
    assert done.returncode == 1
    assert done.stdout == ''
    [line] = done.stderr.splitlines()
    assert line.startswith(f'{script}: ')
    assert message in line


DESTROYED = """
import signal, sys, threading
from dcgan import cli

class Destroyed:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

def main():
    Destroyed()
    threading.Event().wait()

sys.argv = ['train.py']
cli.run(main, '', 'stopped')
"""


def test_a_signal_ends_a_command_even_in_a_destructor_where_python_ignores_an_exit():
    done = subprocess.run([sys.executable, '-c', DESTROYED], capture_output=True, text=True, timeout=120, check=False,
                          cwd=SCRIPT.parent)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGTERM, '\nstopped\n', '')


def start(*flags, preexec=None, **more):
    return subprocess.Popen(command(*flags, **more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            preexec_fn=preexec)


def wait_for_step(process):
    said = ''
    while not re.search(r'step [1-9]', said):
        said += process.stdout.read(1)
        assert process.poll() is None, said
    return said


def test_sighup_saves_and_stops(faces, tmp_path):
    process = start(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, epochs=10**6, log_steps=1)
    said = wait_for_step(process)
    process.send_signal(signal.SIGHUP)
    said += process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signal.SIGHUP, said
    assert 'run the same command again to resume' in said
    assert max(saved_steps(tmp_path / 'run')) > 0


def test_ignored_signals_stay_ignored(faces, tmp_path):
    """As nohup ignores SIGHUP, and a shell SIGINT for a command in the background."""
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    process = start(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, epochs=10**6, log_steps=1,
                    preexec=ignore)
    wait_for_step(process)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    wait_for_step(process)  # it goes on
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize('closed', [1, 2, (0, 1, 2)])
def test_a_run_without_standard_streams_trains_and_saves(faces, tmp_path, closed):
    def close():
        for descriptor in [closed] if isinstance(closed, int) else closed:
            os.close(descriptor)

    done = subprocess.run(command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, max_steps=4),
                          preexec_fn=close, timeout=120, check=False, capture_output=not isinstance(closed, tuple))
    assert done.returncode == 0, done
    assert 4 in saved_steps(tmp_path / 'run')
    assert json.loads((tmp_path / 'run' / 'config.json').read_text())['max_steps'] == 4


def test_a_run_whose_output_has_no_room_trains_and_saves(faces, tmp_path):
    with open('/dev/full', 'w') as full:
        done = subprocess.run(command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, max_steps=4,
                                      log_steps=1), stdout=full, stderr=full, timeout=120, check=False)
    assert done.returncode == 0
    assert 4 in saved_steps(tmp_path / 'run')


def test_without_a_terminal_progress_is_a_line_for_each_logged_step(faces, tmp_path):
    done = run_command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, max_steps=7, log_steps=2)
    lines = [line for line in done.stderr.splitlines() if line.startswith('step ')]
    assert [int(re.match(r'step (\d+)/7 epoch \d/\d g_loss \S+ d_loss \S+ \S+ images/s \S+ left$', line)[1])
            for line in lines] == [2, 4, 6, 7]
    assert '\r' not in done.stderr


class Stream:
    written = ''

    def write(self, text):
        self.written += text


def test_control_characters_in_names_do_not_reach_the_terminal():
    stream = Stream()
    _ProtectedStream(stream).write('a\x1b[31mred\x07\tb\n')
    assert stream.written == 'a\\x1b[31mred\\x07\tb\n'


def test_names_that_the_terminal_cannot_show_are_escaped(faces, tmp_path):
    folder = os.fsencode(tmp_path) + b'/\xc8\xcb\xc1\xb3 \xe4\xba\xba\xe8\x84\xb8'
    os.rename(os.fsencode(faces_copy(faces, tmp_path)), folder)
    done = subprocess.run(command(f'--dataset_dir={os.fsdecode(folder)}', model_dir=tmp_path / 'run', max_steps=1,
                                  cache_dir=tmp_path / 'cache'), capture_output=True, timeout=120, check=False,
                          env={**os.environ, 'PYTHONIOENCODING': 'ascii', 'LC_ALL': 'C.UTF-8'})
    assert done.returncode == 0, done.stderr
    assert b'Traceback' not in done.stderr


def faces_copy(faces, folder):
    copy = folder / 'copy'
    copy.mkdir()
    for path in faces.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


@pytest.mark.parametrize(('flag', 'message'), [
    ('--model_dir=gs://bucket/run', '--model_dir=gs://bucket/run is not a local path; '),
    ('--dataset_dir=s3://bucket/images', '--dataset_dir=s3://bucket/images is not a local path; '),
    ('--cache_dir=hdfs://host/cache', '--cache_dir=hdfs://host/cache is not a local path; '),
    ('--model_dir=~nobody.here/run', '--model_dir=~nobody.here/run: the home folder does not exist or is unknown'),
])
def test_a_path_of_another_place_is_refused(faces, tmp_path, flag, message):
    done = run_script('train.py', f'--dataset_dir={faces}', f'--model_dir={tmp_path / "run"}',
                      f'--cache_dir={tmp_path / "cache"}', flag, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert 'Traceback' not in done.stderr
    assert not [*tmp_path.glob('*:'), *tmp_path.glob('~*')]


def test_bars_may_move_the_cursor():
    stream = Stream()
    protected = _ProtectedStream(stream)
    protected.write('\x1b[A\x1b[A')
    protected.write('name\x1b[A')
    assert stream.written == '\x1b[A\x1b[Aname\\x1b[A'
