"""The main job: what the command prints and leaves, how it resumes, how it stops, and what it says of mistakes."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import train
from data.errors import DataError
from runtime.run_directory import RunError
from tests.pictures import write_images

SCRIPT = Path(train.__file__)
SMALL = {'image_size': 16, 'batch_size': 4, 'z_dim': 5, 'g_depths': [8, 4], 'd_depths': [4, 8]}
IMAGES, EPOCH_STEPS = 14, 3


def command(*flags, **more):
    """The real command line for a small model; lists become comma-separated."""
    values = {name: ','.join(map(str, value)) if isinstance(value, list) else value
              for name, value in {**SMALL, **more}.items()}
    return [sys.executable, SCRIPT, *(f'--{name}={value}' for name, value in values.items()), *flags]


def run_command(*flags, **more):
    return subprocess.run(command(*flags, **more), capture_output=True, text=True, timeout=120, check=False)


def config(dataset_dir, **changes):
    return train.Config(**{
        'dataset_dir': str(dataset_dir), 'crop': 'auto', 'epochs': 2, 'max_steps': None, 'learning_rate': 0.0002,
        'beta1': 0.5, 'seed': 0, 'sample_steps': None, 'save_steps': 100, 'log_steps': 1, **SMALL, **changes})


@pytest.fixture(scope='module')
def faces(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('data') / 'faces', IMAGES)


@pytest.fixture
def fit(tmp_path):
    """Trains by the function, in ``tmp_path``; returns the run directory."""
    def fit(name, config):
        train.train(config, tmp_path / name, tmp_path / 'cache')
        return tmp_path / name
    return fit


def variables(model_dir):
    checkpoint = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(model_dir)))
    return {name: checkpoint.get_tensor(name) for name in checkpoint.get_variable_to_shape_map()}


def assert_same_bits(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def log(model_dir):
    return [json.loads(line) for line in (model_dir / 'log.jsonl').read_text().splitlines()]


@pytest.fixture(scope='module')
def finished(faces, tmp_path_factory):
    """One run of the real command, of two epochs and one step."""
    folder = tmp_path_factory.mktemp('command')
    done = run_command(dataset_dir=faces, model_dir=folder / 'run', cache_dir=folder / 'cache', epochs=3, max_steps=7,
                       sample_steps=2, log_steps=2)
    assert done.returncode == 0, done.stderr
    return done, folder / 'run'


def test_the_command_says_what_it_found_and_how_it_goes_on(finished):
    done, folder = finished
    for words in (f'{IMAGES} of faces', 'rows 2:22, columns 0:20 of images like the first, 20x24, resized to 16x16',
                  f'7, {EPOCH_STEPS} an epoch', 'generator 1,899, discriminator 1,394', 'device', str(folder)):
        assert words in done.stdout
    for words in 'step 7/7', 'epoch 3/3', 'g_loss', 'd_loss', 'images/s':
        assert words in done.stderr


def test_the_grids(finished):
    _, folder = finished
    assert sorted(path.name for path in (folder / 'samples').iterdir()) == [
        f'step-{step:07d}.png' for step in (0, 2, 3, 4, 6)]
    grids = [imageio.imread(path) for path in (folder / 'samples').iterdir()]
    assert {(grid.shape, grid.dtype.name) for grid in grids} == {((8 * 16, 8 * 16, 3), 'uint8')}
    assert len({grid.tobytes() for grid in grids}) == 5


def test_the_real_images(finished):
    _, folder = finished
    reals = imageio.imread(folder / 'reals.png').reshape(8, 16, 8, 16, 3).swapaxes(1, 2).reshape(64, 16, 16, 3)
    [pack] = (np.load(path) for path in (folder.parent / 'cache').glob('*.npy'))
    np.testing.assert_array_equal(reals[:IMAGES], pack)
    assert not reals[IMAGES:].any()


def test_the_log_and_the_events(finished):
    _, folder = finished
    lines = log(folder)
    assert [(line['step'], line['epoch']) for line in lines] == [(2, 1), (4, 2), (6, 2)]
    assert {tuple(line) for line in lines} == {('step', 'epoch', 'g_loss', 'd_loss', 'images_per_second')}
    [events] = folder.glob('events.*')
    scalars, images = {}, []
    for event in tf.train.summary_iterator(str(events)):
        for value in event.summary.value:
            if value.tag == 'samples':
                images.append((event.step, value.image.encoded_image_string))
            else:
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    for name in 'g_loss', 'd_loss', 'images_per_second':
        assert scalars[name] == [(line['step'], pytest.approx(line[name])) for line in lines]
    assert images == [(step, (folder / 'samples' / f'step-{step:07d}.png').read_bytes()) for step in (0, 2, 3, 4, 6)]


def test_the_config_and_the_checkpoints(finished, faces):
    _, folder = finished
    written = json.loads((folder / 'config.json').read_text())
    assert {name: written[name] for name in SMALL} == SMALL
    assert (written['dataset_dir'], written['images'], written['seed']) == (str(faces), IMAGES, 0)
    assert sorted(path.stem for path in folder.glob('*.index')) == ['model.ckpt-0', 'model.ckpt-7']
    assert not list(folder.rglob('*.part'))


def test_the_same_command_again_has_nothing_to_do(finished, faces):
    _, folder = finished
    before = variables(folder)
    config = (folder / 'config.json').read_bytes()
    again = run_command(dataset_dir=faces, model_dir=folder, cache_dir=folder.parent / 'cache', epochs=4, max_steps=7)
    assert (again.returncode, again.stderr.count('Traceback')) == (0, 0)
    assert 'all 7 steps are done already' in again.stdout
    assert_same_bits(variables(folder), before)
    assert (folder / 'config.json').read_bytes() == config


def test_a_resumed_run_is_the_run_that_never_stopped(fit, faces):
    """Bit for bit, though it stopped within an epoch."""
    whole = fit('whole', config(faces))
    fit('parts', config(faces, max_steps=2))
    parts = fit('parts', config(faces))
    assert_same_bits(variables(parts), variables(whole))
    assert variables(parts)['global_step'] == 2 * EPOCH_STEPS
    without_rate = [{name: line[name] for name in line if name != 'images_per_second'} for line in log(parts)]
    assert without_rate == [{name: line[name] for name in line if name != 'images_per_second'} for line in log(whole)]
    for path in (whole / 'samples').iterdir():
        assert path.read_bytes() == (parts / 'samples' / path.name).read_bytes()


def test_a_run_that_was_moved_or_copied_goes_on_by_itself(fit, faces):
    original = fit('original', config(faces, max_steps=1))
    before = {path: path.read_bytes() for path in original.glob('model.ckpt-*')}
    shutil.copytree(original, original.with_name('copy'))
    copied = fit('copy', config(faces, save_steps=1))
    assert variables(copied)['global_step'] == 2 * EPOCH_STEPS
    assert {path: path.read_bytes() for path in original.glob('model.ckpt-*')} == before
    original.rename(original.with_name('moved'))
    assert_same_bits(variables(fit('moved', config(faces))), variables(copied))


def test_images_may_move_but_not_change(fit, faces, tmp_path):
    fit('run', config(faces, max_steps=1))
    moved = shutil.copytree(faces, tmp_path / 'moved')
    folder = fit('run', config(moved, max_steps=2))
    assert variables(folder)['global_step'] == 2
    write_images(moved, IMAGES, height=30)
    with pytest.raises(RunError, match=r'images_crc32: \d+ there, \d+ now'):
        fit('run', config(moved, max_steps=3))


def test_a_latest_checkpoint_that_is_gone(fit, faces):
    folder = fit('run', config(faces, max_steps=2))
    named = (folder / 'checkpoint').read_bytes()
    (folder / 'checkpoint').unlink()
    with pytest.raises(RunError, match=r'but none, of model\.ckpt-0, model\.ckpt-2; restore it'):
        fit('run', config(faces, max_steps=3, seed=9))
    (folder / 'checkpoint').write_bytes(named)
    for path in folder.glob('model.ckpt-2.*'):
        path.unlink()
    with pytest.raises(RunError, match=r'but .*model\.ckpt-2, of model\.ckpt-0; restore it'):
        fit('run', config(faces, max_steps=3))
    (folder / 'checkpoint').unlink()
    assert variables(fit('run', config(faces, max_steps=1)))['global_step'] == 1  # nothing but the start is lost


def test_a_run_directory_that_tensorflow_would_take_for_a_pattern(fit, faces):
    with pytest.raises(RunError, match='takes for a pattern'):
        fit('run[1]', config(faces))


def test_another_seed_is_another_run(fit, faces):
    ours, theirs = (variables(fit(str(seed), config(faces, max_steps=1, seed=seed))) for seed in (0, 1))
    assert not np.array_equal(ours['g/reshape/dense/kernel'], theirs['g/reshape/dense/kernel'])


def test_what_was_logged_after_the_last_checkpoint_is_logged_once(fit, faces):
    folder = fit('run', config(faces, max_steps=5, save_steps=2))
    tf.train.update_checkpoint_state(str(folder), str(folder / 'model.ckpt-4'))
    with (folder / 'log.jsonl').open('a') as file:
        file.write('{"step": 6, "epo')
    fit('run', config(faces))
    assert [line['step'] for line in log(folder)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops(faces, tmp_path, number):
    arguments = command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, epochs=1_000_000)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said = ''
        while not re.search(r'step [1-9]', said):
            said += process.stderr.read(1)
            assert process.poll() is None, said
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert 'the same command goes on from there' in output
    assert 'Traceback' not in said + errors
    step = int(variables(tmp_path / 'run')['global_step'])
    assert step > 0
    assert f'step {step} is saved' in output


def test_other_settings_are_refused_each_by_name(fit, faces):
    folder = fit('run', config(faces, max_steps=1))
    with pytest.raises(RunError) as refusal:
        fit('run', config(faces, beta1=0.9, g_depths=[8, 8], log_steps=7))
    assert 'beta1: 0.5 there, 0.9 now' in str(refusal.value)
    assert 'g_depths: [8, 4] there, [8, 8] now' in str(refusal.value)
    assert 'log_steps' not in str(refusal.value)
    (folder / 'config.json').unlink()
    with pytest.raises(RunError, match=r'no config\.json'):
        fit('run', config(faces))


def test_settings_may_change_until_there_is_a_checkpoint(fit, faces):
    with pytest.raises(DataError, match='center178'):
        fit('run', config(faces, crop='center178'))
    fit('run', config(faces, max_steps=1))


def test_too_few_images_for_a_batch(fit, faces):
    with pytest.raises(DataError, match=f'holds {IMAGES} images, fewer than a batch of 15; --batch_size={IMAGES}'):
        fit('run', config(faces, batch_size=15))


def test_a_run_directory_that_cannot_be_made(fit, faces, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(RunError, match=r'cannot be made: .*; --model_dir names another'):
        fit('file/run', config(faces))


def test_what_is_missing_or_broken_is_said(tmp_path):
    faces = write_images(tmp_path / 'img', 100, 218, 178, suffix='.jpg')
    (faces / '000002.jpg').write_bytes(b'')
    done = run_command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, image_size=128, max_steps=1,
                       g_depths=[4, 4, 4, 4, 4])
    assert done.returncode == 0, done.stderr
    for words in ('99 of img', '1 more, skipped; ',
                  "warning     100 of CelebA's 202,599 images are there; missing 202,499: ",
                  'rows 55:163, columns 35:143 of images like the first, 178x218, enlarged to 128x128'):
        assert words in done.stdout
    assert json.loads((tmp_path / 'run' / 'config.json').read_text())['images'] == 99


@pytest.mark.parametrize(('flags', 'message'), [
    (['--dataset_dir=/no/such/folder'], '/no/such/folder does not exist'),
    (['--dataset_dir='], '--dataset_dir is empty'),
    (['--image_size=30'], 'must be a multiple of 2 to the number of --g_depths'),
    (['--g_depths=64,x'], 'must be whole numbers above 0'),
    (['--crop=center107'], 'center107'),
    (['--learning_rate=nan'], 'must be a number'),
    (['--dataset_dir=~nobody.here/x'], 'does not exist'),
    (['img_align_celeba'], 'img_align_celeba is not expected'),
])
def test_mistakes_get_sentences(tmp_path, flags, message):
    done = run_command(*flags, model_dir=tmp_path / 'run', cache_dir=tmp_path)
    assert done.returncode not in (0, None)
    assert message in done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'run').exists()

