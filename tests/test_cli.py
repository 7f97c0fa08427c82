"""What all commands share: typos before TensorFlow, signals, closed or full standard streams."""

import os
import shutil
import subprocess
import sys

import pytest

from docs.make_help import COMMANDS
from tests.commands import run_script
from tests.small_runs import SCRIPT, run_command, saved_steps

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
                          capture_output=True, text=True, timeout=300, check=False, cwd=SCRIPT.parent)


@pytest.mark.parametrize(('script', 'argument', 'message'), [
    *((f'{name}.py', 'runs/x', "unexpected argument 'runs/x'; use flags, e.g. --") for name in COMMANDS),
    ('train.py', '--no_such_flag=1', "Unknown command line flag 'no_such_flag'"),
])
def test_a_typo_gets_one_line_before_tensorflow_is_loaded(script, argument, message):
    done = run(script, argument)
    assert done.returncode == 1
    assert done.stdout == ''
    [line] = done.stderr.splitlines()
    assert line.startswith(f'{script}: ')
    assert message in line


def test_without_its_packages_a_command_names_the_line_that_installs_them():
    for name in [*COMMANDS, '-m data.celeba']:
        script = name.split() if name.startswith('-m') else [f'{name}.py']
        done = subprocess.run([sys.executable, '-S', *script], capture_output=True, text=True, cwd=SCRIPT.parent)
        assert (done.returncode, done.stderr.count('\n')) == (1, 1)
        assert 'activate the virtual environment that has them, or install them' in done.stderr


TWICE = """
import runpy, sys
for flags in ['--no_such_flag'], ['--help'], ['--seeds=7', '--out=7.png'], ['--seeds=8', '--out=8.png']:
    sys.argv = [{script!r}, '--pretrained=demo', *flags]
    try:
        runpy.run_path({script!r}, run_name='__main__')
    except SystemExit as leaving:
        print(leaving.code)
"""


def test_one_process_runs_a_command_twice_after_mistakes(tmp_path):
    """As a notebook does by %run."""
    (tmp_path / 'twice.py').write_text(TWICE.format(script=str(SCRIPT.with_name('sample.py'))))
    done = run_script(tmp_path / 'twice.py', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.glob('*.png')} == {'7.png', '8.png'}


def close_standard_streams():
    sys.stdin = sys.stdout = sys.stderr = None  # as Python has them then
    os.closerange(0, 3)


def fill_disk():
    for descriptor in 1, 2:
        os.dup2(os.open('/dev/full', os.O_WRONLY), descriptor)


@pytest.mark.parametrize('prepare', [close_standard_streams, fill_disk])
def test_a_run_whose_output_is_closed_or_has_no_room_trains_and_saves(faces, tmp_path, prepare):
    done = run_command(prepare=prepare, dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path,
                       max_steps=4, log_steps=1)
    assert done.returncode == 0
    assert 4 in saved_steps(tmp_path / 'run')


def write_ascii():
    sys.stdout.reconfigure(encoding='ascii')
    sys.stderr.reconfigure(encoding='ascii')


def test_names_that_the_terminal_cannot_show_are_escaped(faces, tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b'/\xc8\xcb\xc1\xb3\x1b \xe4\xba\xba\xe8\x84\xb8')
    shutil.copytree(faces, folder)
    done = run_command(prepare=write_ascii, dataset_dir=folder, model_dir=tmp_path / 'run', max_steps=1,
                       cache_dir=tmp_path / 'cache')
    assert done.returncode == 0, done.stderr
    assert r'14 of \udcc8\udccb\udcc1\udcb3\x1b \u4eba\u8138' in done.stdout
