"""The CPU kernels give TensorFlow's values and gradients up to rounding."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dcgan.cpu_kernels import cpu_kernels
from ops import conv2d, conv2d_transpose

# (layer, input shape, filters, kernel size, strides, padding)
SHAPES = {
    'square': (conv2d, [32, 8, 8, 200], 200, 5, 2, 'same'),
    'square, transposed': (conv2d_transpose, [32, 4, 4, 200], 200, 5, 2, 'same'),
    'odd maps': (conv2d, [33, 9, 13, 130], 260, 5, 2, 'same'),
    'odd maps, transposed': (conv2d_transpose, [33, 5, 3, 260], 130, 5, 2, 'same'),
    'kernel smaller than strides': (conv2d, [32, 10, 11, 200], 200, (1, 2), (3, 3), 'same'),
    'uneven, transposed': (conv2d_transpose, [40, 6, 4, 200], 200, (4, 3), (3, 1), 'same'),
    'no padding': (conv2d, [32, 11, 12, 200], 200, (3, 4), (2, 3), 'valid'),  # strides skip a row and two columns
    'no padding, transposed': (conv2d_transpose, [32, 4, 5, 200], 200, (5, 2), (2, 3), 'valid'),
    'split, few images': (conv2d_transpose, [2, 5, 3, 520], 520, (3, 5), (1, 2), 'same'),
    'large, but not divisible': (conv2d_transpose, [32, 2, 3, 514], 515, 2, 2, 'same'),
    'one pixel': (conv2d, [32, 1, 1, 200], 200, 5, 2, 'same'),
}


@pytest.fixture
def gpus(monkeypatch):
    """The GPUs that TensorFlow finds: none, until a test adds one."""
    found = []
    monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind=None: found)
    return found


def computed(layer, shape, filters, kernel_size, strides, padding):
    """Returns outputs with the gradients of inputs and kernel, and the types of the convolutions that computed them."""
    generator = np.random.default_rng(0)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        inputs = tf.constant(generator.standard_normal(shape), tf.float32)
        with cpu_kernels():
            outputs = layer(inputs, filters, kernel_size, strides, padding,
                            kernel_initializer=tf.random_normal_initializer(seed=0))
        size = [shape[0], *outputs.shape[1:]]
        gradients = tf.gradients(outputs, [inputs, tf.trainable_variables()[0]],
                                 tf.constant(generator.standard_normal(size), tf.float32))
        session.run(tf.global_variables_initializer())
        values, repeated = (session.run([outputs, *gradients]) for _ in range(2))
        for first, second in zip(values, repeated, strict=True):
            assert first.tobytes() == second.tobytes()
        return values, [op.type for op in graph.get_operations() if op.type.startswith('Conv2D')]


@pytest.mark.parametrize('name', SHAPES)
def test_values_and_gradients_equal_tensorflows_up_to_rounding(name, gpus):
    fast, ours = computed(*SHAPES[name])
    gpus.append('a GPU')
    plain, theirs = computed(*SHAPES[name])
    assert len(theirs) == 3
    assert ours != theirs
    for value, expected in zip(fast, plain, strict=True):
        assert value.shape == expected.shape
        np.testing.assert_allclose(value, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def test_the_gradient_of_the_leaky_relu_equals_tensorflows_to_the_bit(gpus):
    values = np.array([-3, -0.1, -0.0, 0.0, 1e-40, 0.1, 3, np.inf, -np.inf, np.nan], np.float32)

    def computed_gradient():
        """Returns the bytes of the gradient and the number of ops."""
        with tf.Graph().as_default() as graph, tf.Session() as session:
            x = tf.constant(values)
            with cpu_kernels():
                outputs = tf.maximum(x, x * 0.3)
            [gradient] = tf.gradients(outputs, [x], tf.constant(np.arange(10, dtype=np.float32) - 4.5))
            return session.run(gradient).tobytes(), len(graph.get_operations())

    fast, few_ops = computed_gradient()
    gpus.append('a GPU')
    plain, many_ops = computed_gradient()
    assert fast == plain
    assert few_ops < many_ops
