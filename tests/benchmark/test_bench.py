"""The benchmark counts operations and images correctly and reports mistakes. Its times are not tested."""

import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dcgan.benchmark.product import Product
from dcgan.benchmark.training import Training, drawing_flops, training_flops
from dcgan.comparison.proof import build
from tests.commands import run_script

PRODUCTS = ['Conv2D', 'Conv2DBackpropInput', 'Conv2DBackpropFilter', 'MatMul']


def run(*flags):
    return run_script('bench.py', *flags)


def profiled(graph, outputs):
    """Returns the floating-point operations of the products that the given ops need, by TensorFlow's profiler.

    Control edges lead to gradients that are never used; TensorFlow prunes them, and so does this.
    """
    graph_def = graph.as_graph_def()
    for node in graph_def.node:
        node.input[:] = [name for name in node.input if not name.startswith('^')]
    with tf.Graph().as_default() as needed:
        tf.import_graph_def(tf.graph_util.extract_sub_graph(graph_def, outputs), name='')
        options = (tf.profiler.ProfileOptionBuilder(tf.profiler.ProfileOptionBuilder.float_operation())
                   .with_accounted_types(PRODUCTS).with_empty_output().build())
        return tf.profiler.profile(needed, cmd='op', options=options).total_float_ops


@pytest.mark.parametrize('config', [{}, {'s_size': 3, 'z_dim': 7, 'g_depths': [16, 12, 8, 4],
                                         'd_depths': [4, 6, 8, 10]}])
def test_operations_equal_those_that_tensorflow_counts(config):
    with tf.Graph().as_default() as graph:
        dcgan = build(batch_size=2, **config).dcgan
    updates = [op.name for op in graph.get_operations() if op.type == 'ResourceApplyAdam']
    assert training_flops(dcgan) == profiled(graph, updates) / 2
    assert drawing_flops(dcgan) == profiled(graph, ['g/tanh/outputs']) / 2
    if not config:
        assert training_flops(dcgan) == pytest.approx(6.1e9, rel=0.01)


def test_a_rate_is_images_by_the_time_that_they_took():
    images = np.random.default_rng(0).integers(0, 256, [20, 16, 16, 3], np.uint8)
    model = {'batch_size': 10, 'z_dim': 5, 's_size': 1, 'g_depths': [8, 8, 4, 4], 'd_depths': [4, 4, 8, 8]}
    for plain in False, True:
        with Training(images, 'float32', plain=plain, **model) as training:
            start = time.perf_counter()
            rates = training.train(3), training.draw(3)
            seconds = time.perf_counter() - start
        assert 0 < sum(30 / rate for rate in rates) <= seconds
    with Product('float32') as product:
        assert product.rate() > 0


@pytest.mark.parametrize(('gpus', 'products'), [([], 1), (['a GPU'], 32)])
def test_every_counted_product_is_computed(monkeypatch, gpus, products):
    monkeypatch.setattr('dcgan.benchmark.product.SHAPES', [(8, 4, 2)])
    monkeypatch.setattr('dcgan.benchmark.product.SECONDS', 0)
    monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind=None: gpus)
    with Product('float32') as product:
        [(times, done)] = product._products.values()
        ran = tf.RunMetadata()
        product._session.run(done, options=tf.RunOptions(output_partition_graphs=True), run_metadata=ran)
    types = [node.op for graph in ran.partition_graphs for node in graph.node]
    assert sum(kind.endswith('MatMul') for kind in types) == times == products


@pytest.mark.parametrize(('flags', 'words'), [
    (['--dataset_dir=nowhere'], 'nowhere does not exist'),
    (['--json=.'], 'cannot write .: it is a folder'),
    (['speed.json'], "unexpected argument 'speed.json'; use flags"),
])
def test_a_mistake_is_reported_without_a_traceback(flags, words):
    done = run(*flags)
    assert done.returncode == 1
    assert words in done.stderr
    assert 'Traceback' not in done.stderr


def test_too_few_images_are_reported(faces):
    done = run(f'--dataset_dir={faces}')
    assert done.returncode == 1
    assert done.stderr.endswith('faces holds 14 images, fewer than a batch of 128; use a larger data set\n')
