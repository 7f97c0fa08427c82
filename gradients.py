"""The gradients of convolutions, faster on a processor than TensorFlow's own.

They add the same products, so they differ by rounding alone. And they leave the graph of the article as it is:
TensorFlow 1 lets a graph look for the gradient of an op under another name, which ``gradient_override_map`` gives to
the ops made within it. Below, ``small`` is the side of a convolution with the smaller maps: its output, or the input of
a transposed one.

Each way is taken only for shapes where it was measured to win, in float32 and in bfloat16 (README, "Speed"); for others
the gradients are TensorFlow's.
"""

import contextlib

import tensorflow.compat.v1 as tf

PIECES = 8


def faster():
    """Returns the context in which to make convolutions; where TensorFlow found a GPU, one that does nothing."""
    if tf.config.list_physical_devices('GPU'):
        return contextlib.nullcontext()
    return tf.get_default_graph().gradient_override_map({
        'Conv2D': 'FasterConv2D', 'Conv2DBackpropInput': 'FasterConv2DBackpropInput'})


@tf.RegisterGradient('FasterConv2D')
def _of_conv2d(op, gradient):
    big, kernel = op.inputs
    small_shape, how = op.outputs[0].shape, _how(op)
    return (_big(gradient, small_shape, kernel, tf.shape(big), **how),
            _kernel_gradient(big, gradient, small_shape, kernel.shape, **how))


@tf.RegisterGradient('FasterConv2DBackpropInput')
def _of_conv2d_transpose(op, gradient):
    _, kernel, small = op.inputs
    how = _how(op)
    return (None,  # of the size
            _kernel_gradient(gradient, small, small.shape, kernel.shape, **how),
            _small(gradient, small.shape, kernel, **how))


def _how(op):
    return {'strides': op.get_attr('strides'), 'padding': op.get_attr('padding').decode()}


def _small(big, small_shape, kernel, **how):
    """Convolves, in pieces of the output's channels where the kernel is large."""
    parts = _split(kernel, small_shape, axis=3)
    return tf.concat([tf.raw_ops.Conv2D(input=big, filter=part, **how) for part in parts], axis=3)


def _big(small, small_shape, kernel, shape, **how):
    """Transposes the convolution, in pieces of the output's channels where the kernel is large."""
    parts = _split(kernel, small_shape, axis=2)
    shape = tf.concat([shape[:3], [kernel.shape[2] // len(parts)]], axis=0)
    return tf.concat([tf.raw_ops.Conv2DBackpropInput(input_sizes=shape, filter=part, out_backprop=small, **how)
                      for part in parts], axis=3)


def _split(kernel, small_shape, axis):
    """Returns the pieces of a kernel that is large for a processor's caches, beside small maps, or else the kernel."""
    *_, channels, filters = kernel.shape
    _, height, width, _ = small_shape
    is_large = channels * filters >= 512 * 512 and kernel.shape[axis] % PIECES == 0
    is_small_map = height is not None and width is not None and height * width <= 8 * 8
    return tf.split(kernel, PIECES, axis) if is_large and is_small_map else [kernel]


def _kernel_gradient(big, small, small_shape, kernel_shape, strides, padding):
    """Returns the gradient of the kernel, given ``big`` and ``small``, one of them as a gradient.

    It is a convolution, too, and for small maps a fast one: ``big`` with ``small`` as the kernel, spread out by the
    strides, images taking the part of channels, and channels that of images.
    """
    *kernel_size, channels, filters = kernel_shape
    if not (small_shape.is_fully_defined() and _is_faster(*small_shape[:3], channels * filters)):
        return tf.raw_ops.Conv2DBackpropFilter(input=big, filter_sizes=kernel_shape.as_list(), out_backprop=small,
                                               strides=strides, padding=padding)
    rows, columns = (_pad(*lengths, padding) for lengths in
                     zip(big.shape[1:3], small_shape[1:3], kernel_size, strides[1:3], strict=True))
    outputs = tf.nn.conv2d(tf.transpose(big, [3, 1, 2, 0]), tf.transpose(small, [1, 2, 0, 3]), strides=1,
                           padding=[[0, 0], rows, columns, [0, 0]], dilations=strides[1:3])
    # Without padding, strides may leave out the last rows and columns of big, which would add to the kernel's.
    return tf.transpose(outputs[:, :kernel_size[0], :kernel_size[1]], [1, 2, 0, 3])


def _is_faster(images, height, width, kernels):
    """Returns whether the gradient is faster as a convolution, of a kernel of so many channels times filters."""
    return images >= 32 and images * height * width <= 128 * 8 * 8 and kernels >= 256 * 128


def _pad(big, small, kernel, stride, padding):
    """Returns the pixels of padding before and after, that 'SAME' gives and 'VALID' does not."""
    total = max((small - 1) * stride + kernel - big, 0) if padding == 'SAME' else 0
    return [total // 2, total - total // 2]
