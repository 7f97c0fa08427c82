"""Kernels that are faster on a CPU than TensorFlow's own, with the same results up to rounding.

Build a model within the context ``cpu_kernels``; the model itself needs no change. TensorFlow 1's
``gradient_override_map`` replaces gradients, and a collection that ``ops`` reads the forward pass of large transposed
convolutions. Each kernel is used only for shapes where measurements show a gain, in float32 and in bfloat16, and
never on a GPU.
"""

import contextlib

import tensorflow.compat.v1 as tf

import ops

SPLITS = 8  # of the output channels of a large transposed convolution


@contextlib.contextmanager
def cpu_kernels():
    """A context in which layers are built with these kernels, unless TensorFlow found a GPU."""
    if tf.config.list_physical_devices('GPU'):
        yield
        return
    gradients = {'Conv2D': 'CpuConv2D', 'Conv2DBackpropInput': 'CpuConv2DTranspose', 'Maximum': 'CpuLeakyRelu'}
    graph = tf.get_default_graph()
    with graph.gradient_override_map(gradients):
        graph.add_to_collection(ops.CONV2D_TRANSPOSE, _conv2d_transpose)
        try:
            yield
        finally:
            graph.clear_collection(ops.CONV2D_TRANSPOSE)


def _conv2d_transpose(inputs, kernel, shape, strides, padding):
    """``tf.nn.conv2d_transpose``, split along the output channels where a large kernel meets a small feature map.

    Such a kernel does not fit into the caches. At full size, in float32, deconv1 takes 210 ms instead of 344.
    """
    _, height, width, channels = inputs.shape
    *_, filters, _ = kernel.shape
    if channels * filters < 512 * 512 or filters % SPLITS or height * width > 8 * 8:
        return tf.nn.conv2d_transpose(inputs, kernel, shape, strides, padding)
    shape = [*shape[:3], filters // SPLITS]
    return tf.concat([tf.nn.conv2d_transpose(inputs, part, shape, strides, padding)
                      for part in tf.split(kernel, SPLITS, axis=2)], axis=3)


@tf.RegisterGradient('CpuConv2D')
def _conv2d_gradients(op, gradient):
    inputs, kernel = op.inputs
    attributes = _attributes(op)
    return (tf.raw_ops.Conv2DBackpropInput(input_sizes=tf.shape(inputs), filter=kernel, out_backprop=gradient,
                                           **attributes),
            _kernel_gradient(inputs, gradient, op.outputs[0].shape, kernel.shape, **attributes))


@tf.RegisterGradient('CpuConv2DTranspose')
def _conv2d_transpose_gradients(op, gradient):
    _, kernel, inputs = op.inputs
    attributes = _attributes(op)
    return (None,  # of the output shape
            _kernel_gradient(gradient, inputs, inputs.shape, kernel.shape, **attributes),
            tf.raw_ops.Conv2D(input=gradient, filter=kernel, **attributes))


@tf.RegisterGradient('CpuLeakyRelu')
def _leaky_relu_gradients(op, gradient):
    """TensorFlow's gradient of max(x, x * leak), bit for bit (up to the sign of zero), in fewer ops.

    All of it flows through the first input; ``leak`` must be a constant.
    """
    x, leaked = op.inputs
    _, leak = leaked.op.inputs
    return tf.where(x >= leaked, gradient, gradient * leak), None


def _attributes(op):
    return {'strides': op.get_attr('strides'), 'padding': op.get_attr('padding').decode()}


def _kernel_gradient(large, small, small_shape, kernel_shape, strides, padding):
    """Returns the gradient of the kernel of a convolution.

    The gradient is itself a convolution, of ``large`` with ``small`` as its kernel. The strides become dilations, and
    the batch takes the place of the channels. It is fast on small feature maps.

    Args:
      large: the input of the convolution, or the output's gradient of a transposed one.
      small: the output's gradient of the convolution, or the input of a transposed one.
      small_shape, kernel_shape: static shapes; the first may be partly unknown.
      strides, padding: of the convolution.
    """
    *kernel_size, channels, filters = kernel_shape
    if not (small_shape.is_fully_defined() and _is_faster(*small_shape[:3], channels * filters)):
        return tf.raw_ops.Conv2DBackpropFilter(input=large, filter_sizes=kernel_shape.as_list(), out_backprop=small,
                                               strides=strides, padding=padding)
    rows, columns = (_pad(*lengths, padding) for lengths in
                     zip(large.shape[1:3], small_shape[1:3], kernel_size, strides[1:3], strict=True))
    outputs = tf.nn.conv2d(tf.transpose(large, [3, 1, 2, 0]), tf.transpose(small, [1, 2, 0, 3]), strides=1,
                           padding=[[0, 0], rows, columns, [0, 0]], dilations=strides[1:3])
    # Without padding, strides may skip the last rows and columns of large; cut what they add to the kernel.
    return tf.transpose(outputs[:, :kernel_size[0], :kernel_size[1]], [1, 2, 0, 3])


def _is_faster(batch, height, width, kernels):
    """Returns whether the gradient is faster as a convolution; ``kernels`` is channels * filters."""
    return batch >= 32 and batch * height * width <= 128 * 8 * 8 and kernels >= 256 * 128


def _pad(large, small, kernel, stride, padding):
    """Returns the pixels of padding before and after one side of an image."""
    total = max((small - 1) * stride + kernel - large, 0) if padding == 'SAME' else 0
    return [total // 2, total - total // 2]
