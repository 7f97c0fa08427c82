"""The layers of the article, on today's TensorFlow.

``tf.layers`` left TensorFlow with Keras 3. These functions have its names, arguments, defaults, initializers and
variable names of TensorFlow 1.15, so that a checkpoint of TensorFlow 1 restores by name. Arguments that a plain
network does not need are left out.

They are for graph mode with resource variables (``dcgan.configure``).
"""

import tensorflow.compat.v1 as tf

CONV2D_TRANSPOSE = 'conv2d_transpose'  # collection: what builds transposed convolutions, if not tf.nn.conv2d_transpose


def dense(inputs, units, activation=None, use_bias=True, *, kernel_initializer=None,
          bias_initializer=tf.zeros_initializer(), name=None):
    """A fully connected layer, ``tf.layers.dense`` of TensorFlow 1.15.

    Args:
      inputs: float [n, features], features known.
      units: length of the output.
      activation: function of the output, or None for a linear layer.
      use_bias: whether to add a bias.
      kernel_initializer: of [features, units]; None is the variable scope's, which is Glorot uniform.
      bias_initializer: of [units].
      name: the variable scope; None is 'dense', made unique.

    Returns:
      Float [n, units].
    """
    with tf.variable_scope(name, default_name='dense'):
        kernel = tf.get_variable('kernel', [inputs.shape[-1], units], inputs.dtype, kernel_initializer)
        outputs = tf.matmul(inputs, kernel)
        return _finish(outputs, units, activation, use_bias, bias_initializer)


def conv2d(inputs, filters, kernel_size, strides=(1, 1), padding='valid', *, activation=None, use_bias=True,
           kernel_initializer=None, bias_initializer=tf.zeros_initializer(), name=None):
    """A convolution, ``tf.layers.conv2d`` of TensorFlow 1.15.

    Args:
      inputs: float [n, height, width, channels], channels known.
      filters: channels of the output.
      kernel_size: height and width of the kernel, or one number for both.
      strides: along height and width, or one number for both.
      padding: 'valid' or 'same', in any letter case.
      activation: function of the output, or None for a linear layer.
      use_bias: whether to add a bias.
      kernel_initializer: of [*kernel_size, channels, filters]; None is the variable scope's, which is Glorot uniform.
      bias_initializer: of [filters].
      name: the variable scope; None is 'conv2d', made unique.

    Returns:
      Float [n, new height, new width, filters].
    """
    with tf.variable_scope(name, default_name='conv2d'):
        shape = [*_pair(kernel_size), inputs.shape[-1], filters]
        kernel = tf.get_variable('kernel', shape, inputs.dtype, kernel_initializer)
        outputs = tf.nn.conv2d(inputs, kernel, _pair(strides), padding.upper())
        return _finish(outputs, filters, activation, use_bias, bias_initializer)


def conv2d_transpose(inputs, filters, kernel_size, strides=(1, 1), padding='valid', *, activation=None, use_bias=True,
                     kernel_initializer=None, bias_initializer=tf.zeros_initializer(), name=None):
    """A transposed convolution, ``tf.layers.conv2d_transpose`` of TensorFlow 1.15.

    Args:
      inputs: float [n, height, width, channels], all but n known.
      filters: channels of the output.
      kernel_size: height and width of the kernel, or one number for both.
      strides: along height and width, or one number for both.
      padding: 'valid' or 'same', in any letter case.
      activation: function of the output, or None for a linear layer.
      use_bias: whether to add a bias.
      kernel_initializer: of [*kernel_size, filters, channels]; None is the variable scope's, which is Glorot uniform.
      bias_initializer: of [filters].
      name: the variable scope; None is 'conv2d_transpose', made unique.

    Returns:
      Float [n, new height, new width, filters]. With 'same' padding height and width are multiplied by the strides.
    """
    with tf.variable_scope(name, default_name='conv2d_transpose'):
        kernel_size, strides, padding = _pair(kernel_size), _pair(strides), padding.upper()
        _, *size, channels = inputs.shape.as_list()
        kernel = tf.get_variable('kernel', [*kernel_size, filters, channels], inputs.dtype, kernel_initializer)
        if padding == 'SAME':
            new_size = [length * stride for length, stride in zip(size, strides, strict=True)]
        else:
            new_size = [length * stride + max(kernel_length - stride, 0)
                        for length, stride, kernel_length in zip(size, strides, kernel_size, strict=True)]
        shape = [tf.shape(inputs)[0], *new_size, filters]
        build, = tf.get_collection(CONV2D_TRANSPOSE) or [tf.nn.conv2d_transpose]
        outputs = build(inputs, kernel, shape, strides, padding)
        return _finish(outputs, filters, activation, use_bias, bias_initializer)


def batch_normalization(inputs, *, momentum=0.99, epsilon=1e-3, training=False, name=None):
    """Batch normalization over the channels, ``tf.layers.batch_normalization`` of TensorFlow 1.15 (its fused kernel).

    When training, two ops are added to the collection ``UPDATE_OPS``. They move ``moving_mean`` and
    ``moving_variance`` towards the mean and the unbiased variance of the batch. The caller must run them.

    Args:
      inputs: float [n, height, width, channels], channels known.
      momentum: the share of a moving average that each update keeps.
      epsilon: added to the variance.
      training: a Python bool: normalize by the statistics of the batch (True) or by the moving averages (False).
      name: the variable scope; None is 'batch_normalization', made unique.

    Returns:
      Float, the shape of ``inputs``.
    """
    with tf.variable_scope(name, default_name='batch_normalization'):
        channels = inputs.shape[-1:]
        gamma = tf.get_variable('gamma', channels, initializer=tf.ones_initializer())
        beta = tf.get_variable('beta', channels, initializer=tf.zeros_initializer())
        moving_mean = tf.get_variable('moving_mean', channels, initializer=tf.zeros_initializer(), trainable=False)
        moving_variance = tf.get_variable('moving_variance', channels, initializer=tf.ones_initializer(),
                                          trainable=False)
        if not training:
            outputs, _, _ = tf.nn.fused_batch_norm(inputs, gamma, beta, moving_mean, moving_variance, epsilon,
                                                   is_training=False)
            return outputs
        outputs, mean, variance = tf.nn.fused_batch_norm(inputs, gamma, beta, epsilon=epsilon)
        for average, value in (moving_mean, mean), (moving_variance, variance):
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, _move(average, value, momentum))
        return outputs


def _move(average, value, momentum):
    """Returns the op that moves an average towards a value.

    It runs after the updates of earlier calls of the layer: without a fixed order, results would differ between runs.
    """
    earlier = [update for update in tf.get_collection(tf.GraphKeys.UPDATE_OPS)
               if average.handle.op in [tensor.op for tensor in update.inputs]]
    with tf.name_scope('AssignMovingAvg'), tf.control_dependencies(earlier):
        difference = average.read_value() - value
    return average.assign_sub(difference * (1 - momentum), read_value=False)


def _finish(outputs, units, activation, use_bias, bias_initializer):
    if use_bias:
        outputs = tf.nn.bias_add(outputs, tf.get_variable('bias', [units], outputs.dtype, bias_initializer))
    return outputs if activation is None else activation(outputs)


def _pair(value):
    return [value, value] if isinstance(value, int) else list(value)
