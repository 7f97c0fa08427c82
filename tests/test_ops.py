"""The layers have the variables, defaults and initial values of ``tf.layers`` in TensorFlow 1.15."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import ops


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(0)
        yield graph


def initial_values():
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run({variable.op.name: variable for variable in tf.global_variables()})


@pytest.mark.parametrize(('build', 'name', 'kernel_shape', 'fan_in_and_out'), [
    (lambda x: ops.dense(tf.reshape(x, [2, 18 * 16]), 10), 'dense', [288, 10], 288 + 10),
    (lambda x: ops.conv2d(x, 24, [5, 3]), 'conv2d', [5, 3, 8, 24], 15 * (8 + 24)),
    (lambda x: ops.conv2d_transpose(x, 24, [5, 3]), 'conv2d_transpose', [5, 3, 24, 8], 15 * (8 + 24)),
])
def test_kernels_start_glorot_uniform_and_biases_zero(build, name, kernel_shape, fan_in_and_out):
    build(tf.zeros([2, 6, 6, 8]))
    values = initial_values()
    assert list(values) == [f'{name}/kernel', f'{name}/bias']
    kernel = values[f'{name}/kernel']
    limit = np.sqrt(6 / fan_in_and_out)
    assert list(kernel.shape) == kernel_shape
    assert 0.98 * limit < np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)  # the deviation of a uniform distribution
    assert not values[f'{name}/bias'].any()


def test_batch_normalization_starts_as_the_identity():
    ops.batch_normalization(tf.zeros([2, 6, 6, 8]))
    assert {name.rpartition('/')[2]: set(value) for name, value in initial_values().items()} == {
        'gamma': {1}, 'beta': {0}, 'moving_mean': {0}, 'moving_variance': {1}}
    assert [variable.op.name for variable in tf.trainable_variables()] == [
        'batch_normalization/gamma', 'batch_normalization/beta']
