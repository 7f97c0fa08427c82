"""What a processor computes faster in another way than TensorFlow's own, to the same numbers but for rounding.

The gradients leave the graph of the article as it is: TensorFlow 1 lets a graph look for the gradient of an op under
another name, which ``gradient_override_map`` gives to the ops made within it. Each way is taken only for shapes where
it was measured to win, in float32 and in bfloat16 (README, "Speed"), and only where there is no GPU.
"""

import contextlib

import tensorflow.compat.v1 as tf

PIECES = 8


def applies():
    """Returns whether anything here does: TensorFlow found no GPU."""
    return not tf.config.list_physical_devices('GPU')


def gradients():
    """Returns the context in which to make convolutions and leaky ReLUs, so that their gradients are those below."""
    if not applies():
        return contextlib.nullcontext()
    return tf.get_default_graph().gradient_override_map({
        'Conv2D': 'FasterConv2D', 'Conv2DBackpropInput': 'FasterConv2DBackpropInput', 'Maximum': 'FasterMaximum'})


def conv2d_transpose(inputs, kernel, shape, strides, padding):
    """``tf.nn.conv2d_transpose``, in pieces of the output's channels where a large kernel meets small maps.

    There the whole kernel is more than the processor's caches hold.
    """
    _, height, width, channels = inputs.shape
    *_, filters, _ = kernel.shape
    pieces = 1
    if applies() and channels * filters >= 512 * 512 and filters % PIECES == 0 and height * width <= 8 * 8:
        pieces = PIECES
    shape = [*shape[:3], filters // pieces]
    with gradients():
        outputs = [tf.nn.conv2d_transpose(inputs, piece, shape, strides, padding)
                   for piece in (tf.split(kernel, pieces, axis=2) if pieces > 1 else [kernel])]
    return tf.concat(outputs, axis=3) if pieces > 1 else outputs[0]


@tf.RegisterGradient('FasterConv2D')
def _of_conv2d(op, gradient):
    big, kernel = op.inputs
    how = _how(op)
    return (tf.raw_ops.Conv2DBackpropInput(input_sizes=tf.shape(big), filter=kernel, out_backprop=gradient, **how),
            _of_kernel(big, gradient, op.outputs[0].shape, kernel.shape, **how))


@tf.RegisterGradient('FasterConv2DBackpropInput')
def _of_conv2d_transpose(op, gradient):
    _, kernel, small = op.inputs
    how = _how(op)
    return (None,  # of the size
            _of_kernel(gradient, small, small.shape, kernel.shape, **how),
            tf.raw_ops.Conv2D(input=gradient, filter=kernel, **how))


@tf.RegisterGradient('FasterMaximum')
def _of_leaky_relu(op, gradient):
    """TensorFlow's of max(x, x * leak), bit for bit (but for the sign of a zero), in fewer ops.

    Nothing is left to go through the second input, so the leak is a number.
    """
    x, leaked = op.inputs
    _, leak = leaked.op.inputs
    return tf.where(x >= leaked, gradient, gradient * leak), None


def _how(op):
    return {'strides': op.get_attr('strides'), 'padding': op.get_attr('padding').decode()}


def _of_kernel(big, small, small_shape, kernel_shape, strides, padding):
    """Returns the gradient of the kernel of a convolution.

    It is a convolution, too, and for small maps a fast one: ``big`` with ``small`` as the kernel, spread out by the
    strides, images taking the part of channels, and channels that of images.

    Args:
      big: the input of the convolution, or the gradient of the output of a transposed one.
      small: the gradient of the output, or the input of a transposed one.
      small_shape, kernel_shape: as far as they are known when the graph is built.
      strides, padding: of the convolution.
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
