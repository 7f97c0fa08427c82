"""Stops, kills, damage, a full disk, a second run, other flags, NaN: a run resumes bit for bit, or says why not."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
from pathlib import Path

import filelock
import imageio.v3 as imageio
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dcgan.device import make_session_config
from dcgan.errors import UserError
from dcgan.training.collapse import MIN_ENTRIES, WINDOW, CollapseDetector
from tests.commands import TIMEOUT, wait_until
from tests.pictures import write_images
from tests.small_runs import (
    assert_same_bits,
    assert_same_run,
    command,
    config,
    grids,
    log,
    run_command,
    saved_steps,
    start_command,
    variables,
)

EPOCH_STEPS = 3
FORTY = {'epochs': 20, 'max_steps': 40, 'save_steps': 6, 'sample_steps': 4, 'log_steps': 5}


def has_bfloat16():
    try:
        make_session_config('bfloat16')
    except UserError:
        return False
    return True


@pytest.mark.parametrize('flags', [
    [], ['--deterministic', '--ema_decay=0.9', '--d_learning_rate=0.001'], ['--precision=bfloat16']])
def test_a_run_that_was_stopped_and_killed_is_the_run_that_was_not(faces, tmp_path, monkeypatch, flags):
    """By the real command, bit for bit; the stops fall within epochs."""
    monkeypatch.setenv('TF_ENABLE_ONEDNN_OPTS', '1')
    if '--precision=bfloat16' in flags and not has_bfloat16():
        pytest.skip('this processor has no bfloat16')
    more = {'dataset_dir': faces, 'cache_dir': tmp_path, **FORTY}
    whole = run_command(*flags, **more, model_dir=tmp_path / 'whole')
    assert whole.returncode == 0, whole.stderr
    more['model_dir'] = tmp_path / 'parts'
    assert run_command(*flags, **{**more, 'max_steps': 7}).returncode == 0
    process = start_command(*flags, **more)
    process.wait_for(r'step 1\d')
    process.send_signal(signal.SIGINT)
    stopped = process.end()
    assert stopped.returncode == 0, stopped.stderr
    stopped_at = [7, int(re.search(r'step (\d+) is saved', stopped.stdout)[1])]
    assert grids(tmp_path / 'parts').keys() >= set(stopped_at)
    process = start_command(*flags, **more)
    process.wait_for(r'step [23]\d')
    process.kill()
    last = run_command(*flags, **more)
    assert last.returncode == 0, last.stderr
    assert 'resuming from step' in last.stdout
    weights = variables(tmp_path / 'parts')
    assert weights['global_step'] == 40
    assert_same_bits(weights, variables(tmp_path / 'whole'))
    for step in set(saved_steps(tmp_path / 'parts')) - set(saved_steps(tmp_path / 'whole')):  # where it was stopped
        for path in (tmp_path / 'parts').glob(f'model.ckpt-{step}.*'):
            path.unlink()
    for step in set(saved_steps(tmp_path / 'whole')) - set(saved_steps(tmp_path / 'parts')):  # which took its place
        for path in (tmp_path / 'whole').glob(f'model.ckpt-{step}.*'):
            path.unlink()
    assert_same_run(tmp_path / 'parts', tmp_path / 'whole', stopped_at)


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_stops(faces, tmp_path, number, status):
    process = start_command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, epochs=1_000_000)
    process.wait_for('step [1-9]')
    process.send_signal(number)
    done = process.end()
    assert done.returncode == status, done.stderr
    assert 'finishing this step, then saving' in done.stdout
    assert 'run the same command again to resume' in done.stdout
    assert 'Traceback' not in done.stderr
    step = int(variables(tmp_path / 'run')['global_step'])
    assert step > 0
    assert f'step {step} is saved' in done.stdout


def test_a_second_signal_ends_the_run_at_once_and_the_last_checkpoint_stays(faces, tmp_path):
    process = start_command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, epochs=1_000_000,
                            save_steps=1_000_000, prepare=wait_in_each_step)
    process.wait_for('first step')
    process.send_signal(signal.SIGINT)
    process.wait_for('finishing this step')
    process.send_signal(signal.SIGINT)
    done = process.end()
    assert done.returncode == 128 + signal.SIGINT, done.stderr
    assert 'stopped at once, without saving' in done.stdout
    assert saved_steps(tmp_path / 'run') == [0]


def wait_in_each_step():
    """As a step of the full size takes seconds, in TensorFlow."""
    import threading

    import tensorflow.compat.v1 as tf

    def before_run(self, run_context):
        print('first step', flush=True)
        threading.Event().wait()

    tf.train.StopAtStepHook.before_run = before_run


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_while_tensorflow_loads_ends_the_command(tmp_path, number, status):
    process = subprocess.Popen(command(model_dir=tmp_path / 'run', cache_dir=tmp_path), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    status_file = Path(f'/proc/{process.pid}/status')
    wait_until(lambda: int(re.search(r'SigCgt:\s*(\w+)', status_file.read_text())[1], 16) >> (signal.SIGTERM - 1) & 1)
    process.send_signal(number)
    said = process.communicate(timeout=TIMEOUT)[0]
    assert (process.returncode, said.count('Traceback')) == (status, 0), said


def test_a_run_saves_and_stops_when_nobody_reads_its_output(faces, tmp_path):
    """As "| tee" is, by the Ctrl-C that the run gets, too."""
    process = subprocess.Popen(command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path,
                                       epochs=1_000_000, save_steps=1_000_000),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert any(line.startswith('step 10/') for line in process.stdout)
    process.stdout.close()
    assert process.wait(timeout=TIMEOUT) == 128 + signal.SIGPIPE
    assert variables(tmp_path / 'run')['global_step'] > 0


def contents(folder):
    """Returns the files of a run directory, but for its lock."""
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file() and 'lock' not in path.name}


def test_the_same_command_again_has_nothing_to_do(fit, faces, one_step, capsys):
    before = contents(one_step)
    fit('run', config(faces, max_steps=1))
    assert contents(one_step) == before
    assert 'all 1 steps are done already' in capsys.readouterr().out


def test_a_run_that_was_moved_or_copied_resumes(fit, faces):
    original = fit('original', config(faces, max_steps=1))
    before = {path: path.read_bytes() for path in original.glob('model.ckpt-*')}
    shutil.copytree(original, original.with_name('copy'))
    copied = fit('copy', config(faces, save_steps=1))
    assert variables(copied)['global_step'] == 2 * EPOCH_STEPS
    assert {path: path.read_bytes() for path in original.glob('model.ckpt-*')} == before
    original.rename(original.with_name('moved'))
    assert_same_bits(variables(fit('moved', config(faces))), variables(copied))


def test_the_newest_five_and_the_milestones_are_kept(fit, faces):
    folder = fit('run', config(faces, epochs=21, save_steps=1))
    milestones = [EPOCH_STEPS * epoch for epoch in (0, 1, 2, 5, 10, 20)]
    assert saved_steps(folder) == sorted({*milestones, 59, 60, 61, 62, 63})
    assert tf.train.latest_checkpoint(str(folder)) == str(folder / 'model.ckpt-63')
    assert tf.train.get_checkpoint_state(str(folder)).all_model_checkpoint_paths == [
        str(folder / f'model.ckpt-{step}') for step in saved_steps(folder)]
    for step in saved_steps(folder):
        assert variables(folder, step)['global_step'] == step


def truncate(folder, step, kind):
    [path] = folder.glob(f'model.ckpt-{step}.{kind}*')
    os.truncate(path, path.stat().st_size // 2)


def flip(folder, step, kind):
    [path] = folder.glob(f'model.ckpt-{step}.{kind}*')
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(folder, step, kind):
    [path] = folder.glob(f'model.ckpt-{step}.{kind}*')
    path.unlink()


@pytest.mark.parametrize('harm', [truncate, flip, remove])
@pytest.mark.parametrize('kind', ['index', 'data'])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_resumed(fit, faces, whole, capsys, harm, kind):
    folder = shutil.copytree(whole, whole.with_name('run'))
    harm(folder, 6, kind)
    fit('run', config(faces, save_steps=2))
    said = capsys.readouterr().out
    assert re.search(r'warning +cannot read \S*model\.ckpt-6: .*; resuming from model\.ckpt-4', said)
    assert_same_run(folder, whole)


@pytest.mark.parametrize('content', [None, b'', b'\xff\x00 nonsense'])
def test_the_file_checkpoint_is_not_needed(fit, faces, one_step, content):
    (one_step / 'checkpoint').unlink()
    if content is not None:
        (one_step / 'checkpoint').write_bytes(content)
    fit('run', config(faces, max_steps=2))
    assert variables(one_step)['global_step'] == 2


def test_a_run_without_an_intact_checkpoint_is_not_overwritten(fit, faces):
    folder = fit('run', config(faces, max_steps=2))
    kept = (folder / 'log.jsonl').read_bytes()
    truncate(folder, 2, 'data')
    remove(folder, 0, 'index')
    with pytest.raises(UserError, match=r'no checkpoint of this run is intact:\n.*cannot read \S*model\.ckpt-2: '):
        fit('run', config(faces, max_steps=3))
    for path in [*folder.glob('model.ckpt*'), folder / 'checkpoint']:
        path.unlink()
    with pytest.raises(UserError, match='no checkpoint of this run is intact'):
        fit('run', config(faces, max_steps=3))
    assert (folder / 'log.jsonl').read_bytes() == kept


def test_a_run_that_was_killed_at_its_start_starts_again(fit, faces, capsys):
    whole = fit('whole', config(faces))
    folder = fit('run', config(faces, max_steps=1))
    for path in folder.glob('model.ckpt-1.*'):
        path.unlink()
    (folder / 'log.jsonl').unlink()
    (folder / 'checkpoint').write_text('model_checkpoint_path: "model.ckpt-0"\n')
    truncate(folder, 0, 'data')
    (folder / 'model.ckpt-0.index.tempstate123').touch()
    fit('run', config(faces))
    assert 'resuming from the start' in capsys.readouterr().out
    assert_same_run(folder, whole, stopped_at=[1])


def test_the_newest_five_intact_checkpoints_are_kept(fit, faces):
    folder = fit('run', config(faces, epochs=100, save_steps=10, max_steps=58))
    for step in 50, 58:
        truncate(folder, step, 'data')
    fit('run', config(faces, epochs=100, save_steps=20, max_steps=100))
    assert saved_steps(folder) == [0, 3, 6, 15, 30, 40, 60, 80, 90, 100]


def test_random_bytes_in_a_checkpoint_are_survived(fit, faces, whole):
    folder = whole
    noise = random.Random(0)
    for kind in 'index', 'data':
        for _ in range(10):
            [path] = folder.glob(f'model.ckpt-6.{kind}*')
            before = content = path.read_bytes()
            for _ in range(3):
                start = noise.randrange(len(content))
                content = content[:start] + noise.randbytes(noise.choice([1, 8])) + content[start + 8:]
            path.write_bytes(content)
            fit('whole', config(faces, epochs=1))  # there is nothing to do, once one is found
            path.write_bytes(before)


def test_a_truncated_line_and_event_are_dropped(fit, faces):
    whole = fit('whole', config(faces))
    folder = fit('run', config(faces, max_steps=2))
    with (folder / 'log.jsonl').open('a') as file:
        file.write('{"step": 3, "epo')
    [path] = folder.glob('events.*')
    with path.open('ab') as file:
        file.write(b'\x40\x00\x00')
    fit('run', config(faces))
    for step in 2, 3:  # where it was stopped; only runs that save at the same steps keep the same
        for path in [*folder.glob(f'model.ckpt-{step}.*'), *whole.glob(f'model.ckpt-{step}.*')]:
            path.unlink()
    assert_same_run(folder, whole, stopped_at=[2])


def test_a_run_that_resumes_on_another_platform_warns(fit, faces, one_step, capsys):
    settings = json.loads((one_step / 'config.json').read_text())
    settings['platform']['tensorflow'] = '2.15.0'
    (one_step / 'config.json').write_text(json.dumps(settings))
    fit('run', config(faces, max_steps=2))
    assert 'may be rounded differently' in capsys.readouterr().out


@pytest.mark.parametrize(('content', 'words'), [
    (b'', 'is damaged'), (b'{"seed": 0', 'is damaged'), (b'\xff\xfe', 'is damaged'),
    (b'[1, 2]', 'expected settings, found'), (b'{"seed": 0}', 'it lacks dataset_dir, image_size'),
    (None, r'no config\.json'),
])
def test_a_damaged_config_is_refused_and_nothing_is_changed(fit, faces, one_step, content, words):
    (one_step / 'config.json').unlink()
    if content is not None:
        (one_step / 'config.json').write_bytes(content)
    before = contents(one_step)
    with pytest.raises(UserError, match=f'{words}.*restore it, or choose another --model_dir'):
        fit('run', config(faces))
    assert contents(one_step) == before


@pytest.mark.usefixtures('one_step')
def test_other_settings_are_refused_by_name(fit, faces):
    with pytest.raises(UserError) as refusal:
        fit('run', config(faces, beta1=0.9, g_depths=[8, 8, 8, 8], precision='bfloat16', deterministic=True,
                          log_steps=7))
    assert str(refusal.value).splitlines()[1:-1] == [
        '  g_depths: [8, 8, 4, 4] there, [8, 8, 8, 8] now', '  beta1: 0.5 there, 0.9 now',
        '  precision: float32 there, bfloat16 now', '  deterministic: False there, True now']


@pytest.mark.usefixtures('one_step')
def test_images_may_move_but_not_change(fit, faces, tmp_path):
    moved = shutil.copytree(faces, tmp_path / 'moved')
    folder = fit('run', config(moved, max_steps=2))
    assert variables(folder)['global_step'] == 2
    write_images(moved, 14, height=30)
    with pytest.raises(UserError, match=r'images_crc32: \d+ there, \d+ now'):
        fit('run', config(moved, max_steps=3))


def test_settings_may_change_until_there_is_a_checkpoint(fit, faces):
    with pytest.raises(UserError, match='center178'):
        fit('run', config(faces, crop='center178'))
    fit('run', config(faces, max_steps=1))


def test_a_second_run_is_refused_while_the_first_trains(faces, tmp_path):
    more = {'dataset_dir': faces, 'model_dir': tmp_path / 'run', 'cache_dir': tmp_path, 'epochs': 1_000_000}
    first = start_command(**more)
    first.wait_for('step [1-9]')
    second = run_command(**more)
    assert second.returncode == 1
    assert f'another run is training in {tmp_path / "run"}: process ' in second.stderr
    assert 'Traceback' not in second.stderr
    first.kill()
    third = run_command(**{**more, 'max_steps': 1_000, 'epochs': 1})
    assert third.returncode == 0, third.stderr


def test_the_lock_ends_with_its_run(fit, faces, one_step):
    with filelock.FileLock(one_step / 'lock'), pytest.raises(UserError, match='another run is training'):
        fit('run', config(faces))
    fit('run', config(faces))


@pytest.mark.parametrize('size', [0, 500, 8_000, 40_000])
def test_a_full_disk_ends_the_run_and_loses_nothing(fit, faces, whole, one_step, tmp_path, capsys, size):
    """The limit on the size of a file stands for a full disk, which takes a file system to itself."""
    resource = pytest.importorskip('resource')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(UserError, match=r'(cannot write|cannot use the run directory) .*: File too large; '):
            fit('run', config(faces, save_steps=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [*(tmp_path / 'run').rglob('*.part'), *(tmp_path / 'run').glob('*.tempstate*')]
    folder = fit('run', config(faces, save_steps=2))
    remove(folder, 1, 'index')
    remove(folder, 1, 'data')
    assert_same_bits(variables(folder), variables(whole))
    assert log(folder, without=['images_per_second']) == log(whole, without=['images_per_second'])


def test_a_loss_that_is_not_finite_ends_the_run(fit, faces):
    with pytest.raises(UserError, match=r'loss is (NaN|infinite) at step \d+.*; this state is not saved\. The last '
                       r'good checkpoint is \S+model\.ckpt-[01]\. .*--learning_rate'):
        fit('run', config(faces, learning_rate=1e30, save_steps=1, epochs=10))


def test_weights_that_are_not_finite_are_not_saved(fit, faces, tmp_path):
    with pytest.raises(UserError, match='a variable is NaN or infinite at step 1, after g_loss'):
        fit('run', config(faces, learning_rate=1e39, save_steps=1, sample_steps=1, max_steps=1))
    assert saved_steps(tmp_path / 'run') == [0]
    assert [path.name for path in (tmp_path / 'run' / 'samples').iterdir()] == ['step-0000000.png']


@pytest.mark.parametrize(('name', 'words'), [
    ('spread', 'faces much alike'), ('d_loss', 'discriminator nearly always right')])
def test_a_collapse_is_detected_when_it_has_lasted(name, words):
    healthy = {'spread': 0.5, 'd_loss': 0.5}
    collapse = CollapseDetector([{'step': step, **healthy} for step in range(0, 1000, 10)])
    noticed = []
    for step in range(1000, 3000, 10):
        # One good step in five is no recovery; nothing but good ones are.
        collapse.update({'step': step, **healthy, **({name: 0.001} if step % 50 and step < 2000 else {})})
        noticed.append(bool(collapse.message))
        assert words in collapse.message or not collapse.message
    assert (noticed[:25], noticed[40:100], noticed[-50:]) == ([False] * 25, [True] * 60, [False] * 50)


@pytest.mark.parametrize('every', [1, 10, 400, 1000])
def test_a_few_steps_are_no_collapse(every):
    collapse = CollapseDetector()
    for number in range(1, 2 * WINDOW):
        step = number * every
        collapse.update({'step': step, 'spread': 0.0, 'd_loss': 0.0})
        assert bool(collapse.message) == (step - every >= WINDOW and number >= MIN_ENTRIES)


def test_a_collapse_is_reported_and_stops_nothing(fit, tmp_path, capsys):
    """A generator that does not learn is easily told from white images."""
    (tmp_path / 'white').mkdir()
    for number in range(14):
        imageio.imwrite(tmp_path / 'white' / f'{number}.png', np.full([16, 16, 3], 255 - number, np.uint8))
    steps = {'learning_rate': 0.0, 'd_learning_rate': 0.005, 'epochs': 1000, 'log_steps': 10}
    fit('run', config(tmp_path / 'white', **steps, max_steps=WINDOW))
    folder = fit('run', config(tmp_path / 'white', **steps, max_steps=2 * WINDOW))  # detected though stopped in between
    assert log(folder)[-1]['collapse'] == 1
    said = capsys.readouterr()
    assert re.search(r'step \d+: discriminator nearly always right, in medians of the last 500 steps', said.out)
    assert 'left, discriminator nearly always right' in said.err
    assert variables(folder)['global_step'] == 2 * WINDOW
