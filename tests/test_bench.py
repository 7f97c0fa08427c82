"""What the benchmark counts, and its answers to mistakes. Its times are no test."""

import subprocess
import sys
import time
from unittest import mock

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from benchmark.product import Product
from benchmark.start import alone, training
from benchmark.training import Training, drawing_work, training_work
from comparison.proof import build
from runtime.errors import RunError
from tests.runs import SCRIPT

BENCH = SCRIPT.with_name('bench.py')
PRODUCTS = ['Conv2D', 'Conv2DBackpropInput', 'Conv2DBackpropFilter', 'MatMul']


def run(*flags):
    return subprocess.run([sys.executable, BENCH, *flags], capture_output=True, text=True, timeout=120, check=False)


def profiled(graph, outputs):
    """Returns the operations of the products that the given ops need, as TensorFlow's profiler counts them.

    Gradients that nothing takes hang on control edges; they are not computed, as TensorFlow cuts these.
    """
    graph_def = graph.as_graph_def()
    for node in graph_def.node:
        node.input[:] = [name for name in node.input if not name.startswith('^')]
    with tf.Graph().as_default() as needed:
        tf.import_graph_def(tf.graph_util.extract_sub_graph(graph_def, outputs), name='')
        options = (tf.profiler.ProfileOptionBuilder(tf.profiler.ProfileOptionBuilder.float_operation())
                   .with_accounted_types(PRODUCTS).with_empty_output().build())
        return tf.profiler.profile(needed, cmd='op', options=options).total_float_ops


@pytest.mark.parametrize('config', [{}, {'s_size': 3, 'z_dim': 7, 'g_depths': [12, 8, 4], 'd_depths': [4, 6, 8]}])
def test_operations_are_those_that_tensorflow_counts(config):
    with tf.Graph().as_default() as graph, mock.patch('faster.applies', return_value=False):
        dcgan = build(batch_size=2, **config).dcgan
    updates = [op.name for op in graph.get_operations() if op.type == 'ResourceApplyAdam']
    assert training_work(dcgan) == profiled(graph, updates) / 2
    assert drawing_work(dcgan) == profiled(graph, ['g/tanh/outputs']) / 2
    if not config:
        assert training_work(dcgan) == pytest.approx(6.1e9, rel=0.01)


def test_rates_are_of_what_was_done():
    """A rate is of images, and of the time that they took."""
    images = np.random.default_rng(0).integers(0, 256, [20, 16, 16, 3], np.uint8)
    model = {'batch_size': 10, 'z_dim': 5, 'g_depths': [8, 4], 'd_depths': [4, 8]}
    for plain in False, True:
        with Training(images, 'float32', plain=plain, **model) as training:
            start = time.perf_counter()
            rates = training.train(3), training.draw(3)
            seconds = time.perf_counter() - start
        assert 0 < sum(30 / rate for rate in rates) <= seconds
    with Product('float32') as product:
        assert product.rate() > 0


def test_a_start_that_fails_says_why(tmp_path):
    with pytest.raises(RunError, match=r'train.py .*ended with status 1:\n(.|\n)*nowhere does not exist'):
        training('nowhere')
    with pytest.raises(RunError, match=r'-m benchmark.start .*none.npy ended with status 1'):
        alone(tmp_path / 'none.npy')


@pytest.mark.parametrize(('gpus', 'products'), [([], 1), (['a GPU'], 32)])
def test_every_product_that_is_counted_is_computed(monkeypatch, gpus, products):
    monkeypatch.setattr('benchmark.product.SHAPES', [(8, 4, 2)])
    monkeypatch.setattr('benchmark.product.SECONDS', 0)
    monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind=None: gpus)
    with Product('float32') as product:
        [(times, done)] = product._products.values()
        ran = tf.RunMetadata()
        product._session.run(done, options=tf.RunOptions(output_partition_graphs=True), run_metadata=ran)
    types = [node.op for graph in ran.partition_graphs for node in graph.node]
    assert sum(kind.endswith('MatMul') for kind in types) == times == products


@pytest.mark.parametrize(('flags', 'words'), [
    (['--dataset_dir=nowhere'], 'nowhere does not exist'),
    (['--json=.'], '. cannot be written: it is a folder'),
    (['speed.json'], 'speed.json is not expected'),
])
def test_mistakes(flags, words):
    done = run(*flags)
    assert done.returncode == 1
    assert words in done.stderr
    assert 'Traceback' not in done.stderr


def test_too_few_images(faces):
    done = run(f'--dataset_dir={faces}')
    assert done.returncode == 1
    assert done.stderr.endswith('faces holds 14 images, fewer than a batch of 128\n')
