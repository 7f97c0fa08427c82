"""The exported generator, run without this project, draws what sample.py draws; the pretrained one is the default."""

import json
import subprocess
import sys
import textwrap

import imageio.v3 as imageio
import numpy as np
import pytest

from dcgan.errors import UserError
from dcgan.sampling.export import export
from dcgan.sampling.exported import pretrained, read_exported
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import find, read
from tests.commands import run_script
from tests.sampling.drawing import draw_by
from tests.small_runs import config

SEEDS = np.arange(20)


@pytest.fixture(scope='module')
def folder(generator, tmp_path_factory):
    """A folder with ``z.npy`` and ``images.npy`` of SEEDS."""
    folder = tmp_path_factory.mktemp('export')
    np.save(folder / 'z.npy', generator.latents(SEEDS))
    np.save(folder / 'images.npy', generator.images(SEEDS))
    return folder


SAVED_MODEL = """
    import tensorflow as tf

    signatures = tf.saved_model.load('out').signatures

    def draw(z):
        by_seed = signatures['seeds'](seeds=tf.range(len(z), dtype=tf.int64))['images'].numpy()
        assert (by_seed == signatures['serving_default'](z=tf.constant(z))['images'].numpy()).all()
        return by_seed
    """
ONNX = """
    import onnxruntime

    session = onnxruntime.InferenceSession('out.onnx')

    def draw(z):
        return session.run(['images'], {'z': z})[0]
    """
TFLITE = """
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter('out.tflite').get_signature_runner('serving_default')

    def draw(z):
        return runner(z=z)['images']
    """
COMPARE = """
    import numpy as np

    z, images = np.load('z.npy'), np.load('images.npy').astype(int)
    for n in 1, 7, 20:
        drawn = draw(z[:n])
        assert drawn.dtype == np.uint8 and drawn.shape == (n, 32, 32, 3) and abs(drawn - images[:n]).max() <= 1
    print('the same')
    """


@pytest.mark.parametrize(('format', 'out', 'program'), [
    ('saved_model', 'out', SAVED_MODEL), ('onnx', 'out.onnx', ONNX), ('tflite', 'out.tflite', TFLITE)])
def test_each_format_draws_the_same_without_this_project(trained_run, folder, format, out, program):
    done = run_script('export.py', f'--model_dir={trained_run}', f'--format={format}', f'--out={folder / out}')
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f'wrote       {folder / out}, the generator of {trained_run / "model.ckpt-100"}\n')
    done = subprocess.run([sys.executable, '-I', '-c', textwrap.dedent(program) + textwrap.dedent(COMPARE)],
                          cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout == 'the same\n', done.stderr


def hide_tf2onnx():
    sys.modules['tf2onnx'] = None


@pytest.mark.parametrize(('flags', 'sentence'), [
    ([], '--out=PATH is required'),
    (['--out=run'], '{folder}/run exists; remove it, or choose another --out'),
    (['--out=run/log.jsonl'], '{folder}/run/log.jsonl exists; remove it, or choose another --out'),
    (['--out=run/log.jsonl/saved'], 'cannot write {folder}/run/log.jsonl/saved: {folder}/run/log.jsonl is a file; ch'),
    (['--out=x.onnx', '--format=onnx'], '--format=onnx needs tf2onnx, which is not installed; pip install'),
    (['--out=x.ONNX', '--format=npz'], '--out=x.ONNX ends in .onnx, which --format=npz does not'),
    (['--out=' + 'x' * 300], 'cannot write {folder}/' + 'x' * 300 + ': File name too long; choose'),
    (['--out=new', '--checkpoint=all'], '--checkpoint=all names several; export one: latest'),
])
def test_mistakes_get_sentences(run, flags, sentence):
    done = run_script('export.py', '--model_dir=run', *flags, prepare=hide_tf2onnx)
    assert done.returncode == 1
    assert f'export.py: {sentence.format(folder=run.parent)}' in done.stderr
    assert 'Traceback' not in done.stderr


# One .npz, and the pretrained generator


def images(path, weights='auto'):
    with TrainedGenerator(read(path, weights)) as generator:
        return generator.images(np.arange(4))


def test_without_a_run_faces_come_from_the_pretrained_generator(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_script('sample.py', '--num_images=4')
    assert done.returncode == 0, done.stderr
    assert 'for non-commercial research' in done.stdout
    drawn = imageio.imread('faces-celeba_generator.png')
    faces = images(pretrained())
    np.testing.assert_array_equal(drawn, faces.reshape(2, 2, 64, 64, 3).swapaxes(1, 2).reshape(128, 128, 3))
    assert np.abs(faces[:, None].astype(float) - faces[None]).mean((2, 3, 4))[~np.eye(4, dtype=bool)].min() > 10
    with pytest.raises(UserError, match='has ema weights only; use --weights=ema'):
        draw_by('--weights=trained')


def test_the_pretrained_generator_knows_its_training_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw_by('--pretrained=demo', '--neighbours=1', '--seeds=3')
    assert 'seed 3' in capsys.readouterr().out
    done = run_script('evaluate.py', '--pretrained=demo', '--metrics=msssim8', '--cache_dir=cache')
    assert done.returncode == 0, done.stderr
    assert 'the training images' in done.stdout
    assert 'weights ema' in done.stdout


def test_a_run_exports_trained_and_averaged_weights(fit, faces, tmp_path):
    run = fit('run', config(faces, max_steps=2, ema_decay=0.5))
    for weights, other in ('trained', 'ema'), ('ema', 'trained'):
        out = tmp_path / f'{weights}.npz'
        with TrainedGenerator(read(run / 'model.ckpt-2', weights)) as generator:
            export(generator, 'npz', out)
            np.testing.assert_array_equal(images(out), generator.images(np.arange(4)))
        about, _ = read_exported(out)
        assert (about['weights'], about['step'], about['config']['batch_size']) == (weights, 2, 4)
        assert str(faces) not in json.dumps(about)  # a path is of no use elsewhere
        with pytest.raises(UserError, match=f'has {weights} weights only; use --weights={weights}'):
            read(out, other)


@pytest.mark.parametrize('damage', [
    lambda content: content[:len(content) // 2], lambda content: content[:3000] + b'\0\0\0\0' + content[3004:],
    lambda content: b'', lambda content: b'<html>'])
def test_a_damaged_file_gets_a_sentence(tmp_path, damage):
    path = tmp_path / 'x.npz'
    path.write_bytes(damage(pretrained().read_bytes()))
    with pytest.raises(UserError, match=r'^cannot read .*x\.npz: .+; export it again'):
        read(path)


@pytest.mark.parametrize(('value', 'about', 'message'), [
    (np.full([3], np.nan, np.float32), {}, 'holds NaN or infinite values'),
    (np.zeros([4], np.float32), {}, r'has shape \[4\]; expected \[3\]'),
    (np.array([None]), {}, 'cannot read .*: Object arrays cannot be loaded'),
    (np.zeros([3], np.float32), {'config': None}, 'cannot read .*: expected settings, found None; export it again')])
def test_weights_of_another_network_get_a_sentence(tmp_path, value, about, message):
    description, values = read_exported(pretrained())
    values['g/deconv4/conv2d_transpose/bias'] = value
    np.savez(tmp_path / 'x.npz', about=json.dumps(description | about), **values)
    with pytest.raises(UserError, match=message):
        read(tmp_path / 'x.npz', 'auto')


def test_a_missing_pretrained_generator_gets_a_sentence():
    assert find(pretrained('no'), 'latest') == [pretrained('no')]
    with pytest.raises(UserError, match=r'no_generator\.npz: No such file or directory; restore it'):
        read(pretrained('no'))
