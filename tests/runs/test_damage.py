"""Damaged checkpoints and side files, a full disk, NaN, collapse: a repair or a sentence, never a traceback."""

import json
import os
import re
import shutil

import imageio.v3 as imageio
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dcgan.errors import UserError
from dcgan.runs.checkpoints import Checkpoints
from dcgan.runs.event_log import read_log
from dcgan.runs.run_directory import RunDirectory
from dcgan.runs.settings import Config
from dcgan.training import collapse
from dcgan.training.collapse import CollapseDetector
from tests.small_runs import RATE, assert_same_bits, assert_same_run, config, contents, log, saved_steps, variables


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(path):
    path.unlink()


def file_of(run, step, kind):
    [path] = run.glob(f'model.ckpt-{step}.{kind}*')
    return path


def find(run):
    """Returns the step of the checkpoint from which a run would resume."""
    return Checkpoints(RunDirectory(run)).find()


# Checkpoints


@pytest.mark.parametrize('harm', [truncate, flip, remove])
@pytest.mark.parametrize('kind', ['index', 'data'])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_found(whole, capsys, harm, kind):
    harm(file_of(whole, 6, kind))
    assert find(whole) == 4
    said = capsys.readouterr().out
    assert re.search(r'warning +cannot read \S*model\.ckpt-6: .*; resuming from model\.ckpt-4', said)


def test_with_damage_to_all_that_was_written_last_a_run_becomes_what_it_was(fit, faces, whole):
    run = shutil.copytree(whole, whole.with_name('run'))
    flip(file_of(run, 6, 'data'))
    (run / 'checkpoint').write_bytes(b'\xff\x00 nonsense')
    with (run / 'log.jsonl').open('a') as file:
        file.write('{"step": 7, "epo')
    [path] = run.glob('events.*')
    with path.open('ab') as file:
        file.write(b'\x40\x00\x00')
    fit('run', config(faces, save_steps=2))
    assert_same_run(run, whole)


def test_a_run_without_an_intact_checkpoint_is_not_overwritten(fit, faces, one_step):
    kept = (one_step / 'log.jsonl').read_bytes()
    truncate(file_of(one_step, 1, 'data'))
    remove(file_of(one_step, 0, 'index'))
    with pytest.raises(UserError, match=r'no checkpoint of this run is intact:\n.*cannot read \S*model\.ckpt-1: '):
        fit('run', config(faces))
    for path in [*one_step.glob('model.ckpt*'), one_step / 'checkpoint']:
        path.unlink()
    with pytest.raises(UserError, match='no checkpoint of this run is intact'):
        fit('run', config(faces))
    assert (one_step / 'log.jsonl').read_bytes() == kept


def test_milestones_and_the_newest_five_intact_checkpoints_are_kept(fit, faces):
    run = fit('run', config(faces, epochs=100, save_steps=10, max_steps=58))
    for step in 50, 58:
        truncate(file_of(run, step, 'data'))
    fit('run', config(faces, epochs=100, save_steps=20, max_steps=100))
    steps = saved_steps(run)
    assert steps == [0, 3, 6, 15, 30, 40, 60, 80, 90, 100]  # of the end of epochs 1, 2, 5, 10, 20 and 30
    assert tf.train.latest_checkpoint(str(run)) == str(run / 'model.ckpt-100')
    assert tf.train.get_checkpoint_state(str(run)).all_model_checkpoint_paths == [
        str(run / f'model.ckpt-{step}') for step in steps]
    assert [variables(run, step)['global_step'] for step in steps] == steps


# Other files


@pytest.mark.parametrize(('content', 'words'), [
    (b'', 'is damaged'), (b'{"seed": 0', 'is damaged'), (b'\xff\xfe', 'is damaged'), (b'[' * 100_000, 'is damaged'),
    (b'{"platform": ' + b'[' * 2000 + b']' * 2000 + b'}', 'is damaged'),
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


def test_a_setting_of_a_wrong_type_is_refused(faces, one_step):
    run, path = RunDirectory(one_step), one_step / 'config.json'
    right = json.loads(path.read_text())
    for name in [*Config._fields, 'images', 'images_crc32', 'workers', 'platform']:
        refused = 0
        for value in None, True, 'text', -1, 0, 1.5, 10**400, [], [1], {}, {'a': {}}:
            path.write_text(json.dumps({**right, name: value}))
            try:
                run.require_same(config(faces)._asdict())
            except UserError:
                refused += 1
        assert refused >= 5, name


def test_lines_of_the_log_without_a_field_or_with_a_wrong_one_are_dropped(one_step, capsys):
    path, whole = one_step / 'log.jsonl', log(one_step)
    with path.open('a') as file:
        for line in ('{}', '[]', '7', '{"step": "1"}', '{"step": 1}', json.dumps({**whole[0], 'g_loss': None}),
                     json.dumps({**whole[0], 'step': 1.5}), '[' * 100_000, json.dumps({**whole[0], 'd_loss': 10**400})):
            file.write(line + '\n')
    assert read_log(path) == whole
    assert 'are damaged; leaving them out' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['config.json', 'log.jsonl', 'reals.png', 'checkpoint', 'lock', 'x.part'])
def test_a_folder_in_the_place_of_a_file_gets_a_sentence(fit, faces, one_step, name):
    (one_step / name).unlink(missing_ok=True)
    (one_step / name / 'x').mkdir(parents=True)
    with pytest.raises(UserError, match=r'cannot (write|read|use) '):
        fit('run', config(faces, max_steps=2))


@pytest.mark.parametrize('size', [500, 40_000])
def test_a_full_disk_ends_the_run_and_loses_nothing(fit, faces, whole, one_step, capsys, size):
    """The limit on the size of a file stands for a full disk; capsys keeps what is printed out of files."""
    resource = pytest.importorskip('resource')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(UserError, match=r'cannot write .*: File too large; '):
            fit('run', config(faces, save_steps=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [*one_step.rglob('*.part'), *one_step.glob('*.tempstate*')]
    fit('run', config(faces, save_steps=2))
    assert_same_bits(variables(one_step), variables(whole))
    assert log(one_step, without=[RATE]) == log(whole, without=[RATE])


@pytest.mark.parametrize('name', ['config.json', 'log.jsonl', 'model.ckpt-1.index', 'samples/step-0000001.png'])
def test_a_pipe_in_the_place_of_a_file_gets_a_sentence(fit, faces, one_step, name):
    (one_step / name).unlink()
    os.mkfifo(one_step / name)
    with pytest.raises(UserError, match=f'{name} is a pipe, a socket or a device, where a file is expected; remove'):
        fit('run', config(faces, max_steps=2))


@pytest.mark.parametrize('failing', ['dcgan.training.evaluation.TrainingEvaluator.measure',
                                     'dcgan.runs.event_log.EventLog.image'])
def test_what_fails_beside_training_ends_the_run_once_the_step_is_saved(fit, faces, tmp_path, monkeypatch, failing):
    fit('run', config(faces, max_steps=1))

    def fail(*arguments):
        raise UserError('no room')

    monkeypatch.setattr(failing, fail)
    with pytest.raises(UserError, match=r'^no room$'):
        fit('run', config(faces, max_steps=9, sample_steps=2, evaluate_steps=2))
    assert saved_steps(tmp_path / 'run') == [0, 1, 2]
    assert [entry['step'] for entry in log(tmp_path / 'run')] == [1, 2]


def test_a_run_whose_directory_is_moved_and_replaced_ends_and_resumes_where_it_is_moved_back(
        fit, faces, one_step, monkeypatch):
    def move(self, entry):
        one_step.rename(one_step.with_name('moved'))
        one_step.mkdir()

    monkeypatch.setattr(CollapseDetector, 'update', move)
    with pytest.raises(UserError, match='was moved or removed while training; move it back'):
        fit('run', config(faces, max_steps=9))
    monkeypatch.undo()
    one_step.rmdir()  # nothing was written there
    one_step.with_name('moved').rename(one_step)
    fit('run', config(faces, max_steps=2))
    assert saved_steps(one_step) == [0, 1, 2]


def test_a_start_that_is_refused_leaves_nothing(fit, faces, tmp_path):
    with pytest.raises(UserError, match='fewer than a batch'):
        fit('run', config(faces, batch_size=99))
    assert not (tmp_path / 'run').exists()


def test_a_run_directory_whose_name_is_not_utf8_is_refused(fit, faces):
    with pytest.raises(UserError, match='has a name that is not UTF-8, which TensorFlow cannot open; set the env'):
        fit('a\udcc8', config(faces))


# Numbers


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
    detector = CollapseDetector([{'step': step, **healthy} for step in range(0, 1000, 10)])
    noticed = []
    for step in range(1000, 3000, 10):
        # One good step in five is no recovery; nothing but good ones are.
        detector.update({'step': step, **healthy, **({name: 0.001} if step % 50 and step < 2000 else {})})
        noticed.append(bool(detector.message))
        assert words in detector.message or not detector.message
    assert (noticed[:25], noticed[40:100], noticed[-50:]) == ([False] * 25, [True] * 60, [False] * 50)


def test_a_collapse_is_reported_and_stops_nothing(fit, tmp_path, monkeypatch, capsys):
    """A generator that does not learn is easily told from white images."""
    monkeypatch.setattr(collapse, 'WINDOW', 150)
    (tmp_path / 'white').mkdir()
    for number in range(14):
        imageio.imwrite(tmp_path / 'white' / f'{number}.png', np.full([16, 16, 3], 255 - number, np.uint8))
    steps = {'learning_rate': 1e-12, 'd_learning_rate': 0.02, 'epochs': 1000, 'log_steps': 10}
    fit('run', config(tmp_path / 'white', **steps, max_steps=150))
    run = fit('run', config(tmp_path / 'white', **steps, max_steps=300))  # detected though stopped in between
    assert log(run)[-1]['collapse'] == 1
    said = capsys.readouterr()
    assert 'left, discriminator nearly always right' in said.err
    assert variables(run)['global_step'] == 300
