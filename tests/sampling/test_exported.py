"""Exported generators: the pretrained one is the default; the file is verified when it is read."""

import json

import imageio.v3 as imageio
import numpy as np
import pytest

from dcgan.errors import UserError
from dcgan.sampling.exported import PRETRAINED, digest_of, read_exported
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import find, read
from tests.commands import run_script
from tests.small_runs import config


def command(script, *flags, cwd):
    return run_script(script, *flags, cwd=cwd)


def images(path, weights='auto'):
    with TrainedGenerator(read(path, weights)) as generator:
        return generator.images(np.arange(4))


def test_without_a_run_faces_come_from_the_pretrained_generator(tmp_path):
    done = command('sample.py', '--num_images=4', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    drawn = imageio.imread(tmp_path / 'faces-demo_generator.png')
    assert find(None, 'latest') == [PRETRAINED]
    expected = images(PRETRAINED).reshape(2, 2, 64, 64, 3).swapaxes(1, 2).reshape(128, 128, 3)
    np.testing.assert_array_equal(drawn, expected)
    faces = images(PRETRAINED).astype(float)
    assert np.abs(faces[:, None] - faces[None]).mean((2, 3, 4))[~np.eye(4, dtype=bool)].min() > 10


def test_the_pretrained_generator_knows_its_training_images(tmp_path):
    done = command('sample.py', '--neighbours=1', '--seeds=3', f'--cache_dir={tmp_path}', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'seed 3' in done.stdout
    done = command('evaluate.py', '--metrics=msssim8', f'--cache_dir={tmp_path}', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'the training images' in done.stdout
    assert 'weights ema' in done.stdout


def test_the_pretrained_generator_can_be_exported_again(tmp_path):
    done = command('export.py', '--format=npz', '--out=mine.npz', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(images(tmp_path / 'mine.npz'), images(PRETRAINED))
    assert read_exported(tmp_path / 'mine.npz')[0] == read_exported(PRETRAINED)[0]


@pytest.mark.parametrize('weights', ['trained', 'ema'])
def test_a_run_exports_trained_and_averaged_weights(fit, faces, tmp_path, weights):
    run = fit('run', config(faces, max_steps=2, ema_decay=0.5))
    out = tmp_path / 'x.npz'
    done = command('export.py', f'--model_dir={run}', f'--weights={weights}', '--format=npz', f'--out={out}',
                   cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(images(out), images(run / 'model.ckpt-2', weights))
    about, _ = read_exported(out)
    assert (about['weights'], about['step'], about['config']['batch_size']) == (weights, 2, 4)
    assert str(faces) not in json.dumps(about)  # a path is of no use elsewhere
    with pytest.raises(UserError, match=f'has {weights} weights only; use --weights={weights}'):
        read(out, {'trained': 'ema', 'ema': 'trained'}[weights])


@pytest.mark.parametrize('damage', [
    lambda content: content[:len(content) // 2],
    lambda content: content[:3000] + b'\0\0\0\0' + content[3004:],
    lambda content: b'',
    lambda content: b'<html>',
    lambda content: content[:-40],
])
def test_a_damaged_file_gets_a_sentence(tmp_path, damage):
    path = tmp_path / 'x.npz'
    path.write_bytes(damage(PRETRAINED.read_bytes()))
    with pytest.raises(UserError, match=r'x\.npz is damaged: .+; export it again'):
        read(path)


def test_a_changed_weight_does_not_match_the_checksum(tmp_path):
    with np.load(PRETRAINED) as arrays:
        values = dict(arrays)
    values['g/deconv4/conv2d_transpose/bias'] = values['g/deconv4/conv2d_transpose/bias'] + np.float32(0.1)
    np.savez(tmp_path / 'x.npz', **values)
    with pytest.raises(UserError, match='its checksum does not match'):
        read(tmp_path / 'x.npz')


def write(path, about, compress=False):
    """Writes the pretrained weights with ``about`` changed, and the checksum that fits."""
    description, values = read_exported(PRETRAINED)
    (np.savez_compressed if compress else np.savez)(path, about=json.dumps(description | about), **values)
    return path


@pytest.mark.parametrize('about', [
    {'weights': 'best'}, {'weights': []}, {'config': None}, {'step': '7'}, {'step': True}, {'sha256': None}])
def test_an_invalid_description_gets_a_sentence(tmp_path, about):
    read(write(tmp_path / 'x.npz', {}), 'auto')
    with pytest.raises(UserError, match=r'x\.npz is damaged: .+; export it again'):
        read(write(tmp_path / 'x.npz', about), 'auto')


def test_a_compressed_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'x\.npz is damaged: it is compressed; export it again'):
        read(write(tmp_path / 'x.npz', {}, compress=True), 'auto')


@pytest.mark.parametrize(('value', 'message'), [
    (np.array([np.nan, 0, 0], np.float32), 'holds NaN or infinite values'),
    (np.zeros([4], np.float32), r'has shape \[4\]; expected \[3\]'),
    (np.zeros([3]), 'a variable is not float32'),
    (np.array([None]), 'is damaged: Object arrays cannot be loaded'),
])
def test_weights_of_another_network_get_a_sentence(tmp_path, value, message):
    about, values = read_exported(PRETRAINED)
    values['g/deconv4/conv2d_transpose/bias'] = value
    np.savez(tmp_path / 'x.npz', about=json.dumps(about | {'sha256': digest_of(values)}), **values)
    with pytest.raises(UserError, match=message):
        read(tmp_path / 'x.npz', 'auto')


def test_a_missing_file_and_missing_weights_get_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r'no checkpoint'):
        find(None, str(tmp_path / 'x.npz'))
    done = command('sample.py', '--weights=trained', cwd=tmp_path)
    assert done.returncode == 1
    assert 'has ema weights only' in done.stderr
    assert 'Traceback' not in done.stderr
