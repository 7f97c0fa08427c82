"""A small stand-in for the Inception graph of 2015, with the same nodes and as old ops."""

from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf

SIZE = 8  # pixels that it resizes to
WEIGHTS = np.random.RandomState(7).randn(3, 8).astype(np.float32)  # of a 1x1 convolution
MEAN, VARIANCE, BETA, GAMMA = np.random.RandomState(8).uniform(0.5, 1.5, [4, 8]).astype(np.float32)
EPSILON = 1e-3


def write_stand_in(path):
    """Writes the frozen graph, which has 8 features per image."""
    with tf.Graph().as_default() as graph:
        image = tf.image.decode_jpeg(tf.placeholder(tf.string, [], name='DecodeJpeg/contents'), 3, name='DecodeJpeg')
        images = tf.expand_dims(tf.cast(image, tf.float32), 0, name='ExpandDims')
        resized = tf.raw_ops.ResizeBilinear(images=images, size=[SIZE, SIZE], name='ResizeBilinear')
        values = tf.nn.conv2d(resized / 128 - 1, WEIGHTS[np.newaxis, np.newaxis], padding='VALID', name='conv')
        values = tf.nn.relu(tf.raw_ops.FusedBatchNorm(
            x=values, scale=GAMMA, offset=BETA, mean=MEAN, variance=VARIANCE, epsilon=EPSILON, is_training=False).y)
        pooled = tf.nn.avg_pool(values, SIZE, 1, 'VALID', name='pool_3')
        tf.nn.softmax(tf.reshape(pooled, [1, 8]), name='softmax')  # of a single image, as in the real graph
    graph_def = graph.as_graph_def(add_shapes=True)
    graph_def.versions.producer = 8
    graph_def.versions.min_consumer = 0
    for node in graph_def.node:
        if node.op == 'FusedBatchNorm':  # the old op of the real graph, which TensorFlow 2 cannot create
            node.op = 'BatchNormWithGlobalNormalization'
            x, scale, offset, mean, variance = node.input
            node.input[:] = [x, mean, variance, offset, scale]
            for name in set(node.attr) - {'T', '_output_shapes'}:
                del node.attr[name]
            node.attr['variance_epsilon'].f = EPSILON
            node.attr['scale_after_normalization'].b = True
            del node.attr['_output_shapes'].list.shape[1:]
    Path(path).write_bytes(graph_def.SerializeToString())
    return path


def features_of(images):
    """Returns the expected features, float64 [n, 8]; takes uint8 [n, SIZE, SIZE, 3], which needs no resizing."""
    values = (images / 128 - 1) @ WEIGHTS.astype(np.float64)
    values = (values - MEAN) / np.sqrt(VARIANCE + EPSILON) * GAMMA + BETA
    return np.maximum(values, 0).mean(axis=(1, 2))
