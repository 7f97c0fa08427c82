"""What Windows and macOS lack or do otherwise, as far as it can be simulated."""

import builtins
import os
import re
import signal
import sys
from pathlib import PureWindowsPath

import pytest

import dcgan.comparison.proof
from dcgan.device import make_session_config
from dcgan.errors import UserError
from dcgan.files import safe_name
from dcgan.runs.run_directory import default_model_dir, is_pattern
from tests.commands import run_script
from tests.pictures import write_images
from tests.small_runs import SMALL, saved_steps

SMALL_FLAGS = [f'--{name}={",".join(map(str, value)) if isinstance(value, list) else value}'
               for name, value in SMALL.items()]


def hide_posix():
    """Hides from this process what Linux has, and other systems lack; the proof of compare.py is in no other one."""
    dcgan.comparison.proof.prove_in_child = list
    for name in 'fcntl', 'resource', 'pwd', 'grp', 'termios':
        sys.modules[name] = None
    for name in 'SIGPIPE', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGALRM':
        delattr(signal, name)
    for name in ('sched_getaffinity', 'process_cpu_count', 'fork', 'wait4', 'getuid', 'geteuid', 'killpg', 'setsid',
                 'mkfifo', 'uname', 'getloadavg'):
        if hasattr(os, name):
            delattr(os, name)
    for opener in (builtins, 'open'), (os, 'open'), (os, 'listdir'), (os, 'stat'):
        setattr(*opener, _without_proc(getattr(*opener)))


def _without_proc(function):
    def hide(path, *args, **kwargs):
        if isinstance(path, str) and re.match(r'/(proc|sys)/', path):
            raise FileNotFoundError(2, 'No such file or directory', path)
        return function(path, *args, **kwargs)
    return hide


def test_every_command_works_without_what_only_linux_has(tmp_path):
    images = write_images(tmp_path / 'faces', 40)
    run, cache = f'--model_dir={tmp_path / "run"}', f'--cache_dir={tmp_path / "cache"}'

    def command(script, *flags):
        done = run_script(script, *flags, cwd=tmp_path, prepare=hide_posix)
        assert done.returncode == 0, done.stderr
        assert 'Traceback' not in done.stderr

    for steps in 2, 3:
        command('train.py', run, cache, f'--dataset_dir={images}', f'--max_steps={steps}', '--ema_decay=0.9',
                '--evaluate_steps=2', *SMALL_FLAGS)
    assert saved_steps(tmp_path / 'run') == [0, 2, 3]
    command('sample.py', run, '--film=checkpoints')
    command('evaluate.py', run, cache, '--metrics=swd20,msssim20', f'--json={tmp_path / "numbers.json"}')
    command('export.py', run, '--out=saved')
    command('compare.py', run, cache, '--metrics=msssim20')
    names = [path.name for path in tmp_path.rglob('*')]
    assert len(names) > 40
    assert [name for name in names if name != safe_name(name)] == []


@pytest.mark.parametrize(('name', 'safe'), [
    ('faces', 'faces'), ('img_align_celeba.v2', 'img_align_celeba.v2'), ('人脸', '人脸'), ('a:b', 'a_b'),
    ('what?', 'what_'), ('faces. .', 'faces'), ('NUL', '_NUL'), ('con.zip', '_con.zip'), ('console', 'console'),
    ('a\nb', 'a_b'), ('. .', '_'), ('<a|b>', '_a_b_'), ('COM1', '_COM1')])
def test_names_of_data_sets_become_names_of_files_on_every_system(name, safe):
    assert safe_name(name) == safe
    assert default_model_dir(name).name == safe


def test_folders_are_no_patterns_on_windows():
    assert not is_pattern(PureWindowsPath(r'C:\runs\demo_faces\model.ckpt-7'))
    assert is_pattern(PureWindowsPath(r'C:\runs\demo[1]'))


def test_bfloat16_is_refused_where_the_system_does_not_describe_the_processor(monkeypatch):
    monkeypatch.setattr('dcgan.device._cpuinfo', str)
    monkeypatch.setenv('TF_ENABLE_ONEDNN_OPTS', '1')
    with pytest.raises(UserError, match='this system does not say what it has; use --precision=float32'):
        make_session_config('bfloat16')
