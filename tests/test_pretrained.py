"""The pretrained generator: drawn from where no run is named; one file, checked when it is read."""

import json
import subprocess
import sys

import imageio.v3 as imageio
import numpy as np
import pytest

from runtime.errors import RunError
from sampling.checkpoint import PRETRAINED, find, read, read_about
from sampling.generator import TrainedGenerator
from tests.runs import SCRIPT, config


def command(script, *flags, cwd):
    return subprocess.run([sys.executable, SCRIPT.parent / script, *map(str, flags)], capture_output=True, text=True,
                          timeout=180, check=False, cwd=cwd)


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


def test_the_pretrained_faces_differ_from_one_another():
    faces = images(PRETRAINED).astype(float)
    assert np.abs(faces[:, None] - faces[None]).mean((2, 3, 4))[~np.eye(4, dtype=bool)].min() > 10


def test_it_knows_its_training_images_and_its_numbers_can_be_measured(tmp_path):
    done = command('sample.py', '--neighbours=1', '--seeds=3', f'--cache_dir={tmp_path}', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'seed 3' in done.stdout
    done = command('evaluate.py', '--metrics=msssim8', f'--cache_dir={tmp_path}', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'those that it was trained on' in done.stdout
    assert 'weights ema' in done.stdout


def test_it_exports_and_the_export_draws_the_same(tmp_path):
    done = command('export.py', '--format=npz', '--out=mine.npz', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(images(tmp_path / 'mine.npz'), images(PRETRAINED))
    assert read_about(tmp_path / 'mine.npz') == read_about(PRETRAINED)


@pytest.mark.parametrize('weights', ['trained', 'ema'])
def test_a_run_exports_either_weights_to_one_file(fit, faces, tmp_path, weights):
    run = fit('run', config(faces, max_steps=2, ema_decay=0.5))
    out = tmp_path / 'x.npz'
    done = command('export.py', f'--model_dir={run}', f'--weights={weights}', '--format=npz', f'--out={out}',
                   cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(images(out), images(run / 'model.ckpt-2', weights))
    about = read_about(out)
    assert (about['weights'], about['step'], about['config']['batch_size']) == (weights, 2, 4)
    assert str(faces) not in json.dumps(about)  # a path says nothing elsewhere
    with pytest.raises(RunError, match=f'holds {weights} weights only; use --weights={weights}'):
        read(out, {'trained': 'ema', 'ema': 'trained'}[weights])


@pytest.mark.parametrize('spoil', [
    lambda content: content[:len(content) // 2],
    lambda content: content[:3000] + b'\0\0\0\0' + content[3004:],
    lambda content: b'',
    lambda content: b'<html>',
    lambda content: content[:-40],
])
def test_a_damaged_file_gets_a_sentence(tmp_path, spoil):
    path = tmp_path / 'x.npz'
    path.write_bytes(spoil(PRETRAINED.read_bytes()))
    with pytest.raises(RunError, match=r'x\.npz is damaged: .+; export it again'):
        read(path)


def test_a_changed_weight_does_not_match_the_checksum(tmp_path):
    with np.load(PRETRAINED) as arrays:
        values = dict(arrays)
    values['g/deconv4/conv2d_transpose/bias'] = values['g/deconv4/conv2d_transpose/bias'] + np.float32(0.1)
    np.savez(tmp_path / 'x.npz', **values)
    with pytest.raises(RunError, match='the checksum does not match'):
        read(tmp_path / 'x.npz')


def test_a_missing_file_and_weights_that_it_has_not(tmp_path):
    with pytest.raises(RunError, match=r'no checkpoint'):
        find(None, str(tmp_path / 'x.npz'))
    done = command('sample.py', '--weights=trained', cwd=tmp_path)
    assert done.returncode == 1
    assert 'holds ema weights only' in done.stderr
    assert 'Traceback' not in done.stderr

