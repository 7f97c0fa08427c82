"""The exported generator, run without this project, draws what sample.py draws."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from dcgan.errors import UserError
from dcgan.sampling.export import export, require_converter
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import read
from dcgan.training.loop import train
from tests.commands import run_script
from tests.small_runs import SCRIPT as TRAIN
from tests.small_runs import config

SEEDS = np.arange(20)
SCRIPT = TRAIN.with_name('export.py')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A run of a few steps of a small model on the embedded faces; beside it ``z.npy`` and ``images.npy`` of SEEDS."""
    folder = tmp_path_factory.mktemp('export')
    train(config('', batch_size=32, z_dim=20, g_depths=[32, 16, 8, 8], d_depths=[8, 8, 16, 32], max_steps=30)._replace(
        dataset_dir=None), folder / 'run', folder / 'cache')
    with TrainedGenerator(read(folder / 'run' / 'model.ckpt-30')) as generator:
        np.save(folder / 'z.npy', generator.latents(SEEDS))
        np.save(folder / 'images.npy', generator.images(SEEDS))
    return folder / 'run'


def command(*flags):
    return run_script('export.py', *flags)


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
        assert drawn.dtype == np.uint8 and drawn.shape == (n, 16, 16, 3) and abs(drawn - images[:n]).max() <= 1
    print('the same')
    """


@pytest.mark.parametrize(('format', 'out', 'program'), [
    ('saved_model', 'out', SAVED_MODEL), ('onnx', 'out.onnx', ONNX), ('tflite', 'out.tflite', TFLITE)])
def test_each_format_draws_the_same_without_this_project(run, format, out, program):
    done = command(f'--model_dir={run}', f'--format={format}', f'--out={run.parent / out}')
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f'wrote       {run.parent / out}, the generator of {run / "model.ckpt-30"}\n')
    done = subprocess.run([sys.executable, '-I', '-c', textwrap.dedent(program) + textwrap.dedent(COMPARE)],
                          cwd=run.parent, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == 'the same\n', done.stderr


def test_a_server_reads_the_signatures(run):
    with TrainedGenerator(read(run / 'model.ckpt-30')) as generator:
        export(generator, 'saved_model', run.parent / 'served' / '1')
    cli = subprocess.run([Path(sys.executable).with_name('saved_model_cli'), 'show', '--dir',
                          run.parent / 'served' / '1', '--all'], capture_output=True, text=True, check=True).stdout
    for lines in (["signature_def['seeds']", "inputs['seeds']", 'dtype: DT_INT64', 'shape: (-1)', 'name: seeds:0',
                   "outputs['images']", 'dtype: DT_UINT8', 'shape: (-1, 16, 16, 3)', 'tensorflow/serving/predict'],
                  ["signature_def['serving_default']", "inputs['z']", 'dtype: DT_FLOAT', 'shape: (-1, 20)', 'name: z:0',
                   "outputs['images']", 'dtype: DT_UINT8', 'shape: (-1, 16, 16, 3)', 'tensorflow/serving/predict']):
        part = cli[cli.index(lines[0]):]
        places = [part.index(line) for line in lines]
        assert places == sorted(places), part


def test_a_folder_receives_a_file_of_the_usual_name(run, tmp_path):
    done = command(f'--model_dir={run}', f'--out={tmp_path}', '--format=tflite', '--checkpoint=0')
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['generator.tflite']


@pytest.mark.parametrize(('flags', 'sentence'), [
    ([], '--out=PATH is required'),
    (['--out={run}'], '{run} exists; remove it, or choose another --out'),
    (['--out={run}/log.jsonl'], '{run}/log.jsonl exists; remove it, or choose another --out'),
    (['--out={run}/log.jsonl/saved'], 'cannot write {run}/log.jsonl/saved: {run}/log.jsonl is a file; choose'),
    (['--out={run}/x.TFLITE', '--format=onnx'], '--out={run}/x.TFLITE ends in .tflite, which --format=onnx does not'),
    (['--out={run}/' + 'x' * 300], 'cannot write {run}/' + 'x' * 300 + ': File name too long; choose'),
    (['--out={run}/new', '--checkpoint=all'], '--checkpoint=all names several; export one: latest'),
    (['--out={run}/new', '--checkpoint=7'], '{run} holds no checkpoint of step 7; it holds 0, 30'),
])
def test_mistakes_get_sentences(run, flags, sentence):
    done = command(f'--model_dir={run}', *(flag.format(run=run) for flag in flags))
    assert done.returncode == 1
    assert f'export.py: {sentence.format(run=run)}' in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_missing_converter_gets_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tf2onnx', None)
    with pytest.raises(UserError, match=r"tf2onnx, which is not installed; pip install '\.\[onnx\]'$"):
        require_converter('onnx')
