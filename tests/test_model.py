"""model.py beyond the proof of tests/comparison: sizes, and what may be passed in."""

import pytest
import tensorflow.compat.v1 as tf

from dcgan.comparison.proof import build

SMALL = {'g_depths': [8, 8, 4, 4], 'd_depths': [4, 4, 8, 8]}


def shape_of(value):
    return value.shape.as_list()


@pytest.mark.parametrize(('s_size', 'size'), [(1, 16), (6, 96)])
def test_the_image_size_is_16_times_the_first_layer_and_nothing_is_fed(s_size, size):
    with tf.Graph().as_default() as graph, tf.Session() as session:
        built = build(batch_size=3, s_size=s_size, z_dim=7, **SMALL)
        assert not [op for op in graph.get_operations() if op.type.startswith('Placeholder')]
        session.run(tf.global_variables_initializer())
        session.run(built.train)
        assert shape_of(built.dcgan.z) == [3, 7]
        assert shape_of(built.dcgan.g(built.dcgan.z)) == [3, size, size, 3]


def test_latents_and_optimizers_may_be_passed_in():
    with tf.Graph().as_default(), tf.Session() as session:
        z = tf.zeros([2, 100])
        built = build(batch_size=2, s_size=1, **SMALL, z=z)
        assert built.dcgan.z is z
        before = [variable.op.name for variable in tf.global_variables()]
        train = built.dcgan.train(built.losses, optimizers=[tf.train.GradientDescentOptimizer(0.1) for _ in 'gd'])
        session.run(tf.global_variables_initializer())
        session.run(train)
        assert [variable.op.name for variable in tf.global_variables()] == before
