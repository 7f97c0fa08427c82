"""The benchmark counts operations and images correctly and reports mistakes. Its times are not tested."""

import time

import pytest
import tensorflow.compat.v1 as tf

from dcgan.benchmark.training import FLOPS, Training
from dcgan.comparison.proof import build

PRODUCTS = ['Conv2D', 'Conv2DBackpropInput', 'Conv2DBackpropFilter', 'MatMul']


def test_the_operations_of_a_step_are_those_that_tensorflow_counts():
    """Control edges lead to gradients that are never used; TensorFlow prunes them, and so does this."""
    with tf.Graph().as_default() as graph:
        build(batch_size=2)
    graph_def = graph.as_graph_def()
    for node in graph_def.node:
        node.input[:] = [name for name in node.input if not name.startswith('^')]
    updates = [op.name for op in graph.get_operations() if op.type == 'ResourceApplyAdam']
    with tf.Graph().as_default() as needed:
        tf.import_graph_def(tf.graph_util.extract_sub_graph(graph_def, updates), name='')
        options = (tf.profiler.ProfileOptionBuilder(tf.profiler.ProfileOptionBuilder.float_operation())
                   .with_accounted_types(PRODUCTS).with_empty_output().build())
        assert tf.profiler.profile(needed, cmd='op', options=options).total_float_ops == 2 * FLOPS


@pytest.mark.parametrize('is_plain', [False, True])
def test_a_rate_is_images_by_the_time_that_they_took(is_plain):
    training = Training('float32', is_plain=is_plain, batch_size=10, z_dim=5, s_size=1, g_depths=[8, 8, 4, 4],
                        d_depths=[4, 4, 8, 8])
    start = time.perf_counter()
    rate = training.rate(3)
    assert 0 < 30 / rate <= time.perf_counter() - start
