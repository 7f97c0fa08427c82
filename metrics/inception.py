"""The Inception network of 2015, whose features FID and KID are measured by."""

import hashlib

import tensorflow.compat.v1 as tf
from google.protobuf.message import DecodeError
from tqdm import tqdm

from metrics.errors import MetricError

GRAPH_NAME = 'classify_image_graph_def.pb'
GRAPH_SOURCE = 'http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz'
KNOWN_SHA256 = '009d6814d1bc560d4e7b236e170e9b2d5ca6f4b57bd8037f6db05776204415c6'  # of that graph, 95,673,916 bytes
INPUT, FEATURES = 'ExpandDims', 'pool_3'  # nodes of it


class Inception:
    """The network, in a session of its own, within its context.

    It is fed as by Heusel et al. (2017), whose FID others are compared with: images in 0..255 at 'ExpandDims', from
    where the graph resizes them to 299x299 by itself, and the features are the 2048 means of 'pool_3'.

    Attributes:
      digest: SHA-256 of the file, in hexadecimal.
      dimensions: length of a feature vector, 2048 of that graph.
      is_known: whether it is the graph that published numbers were measured by.
    """

    def __init__(self, path, batch_size=50):
        """Reads and imports the graph.

        Args:
          path: of the frozen graph, a GraphDef.
          batch_size: images that go through it at once, at the most.

        Raises:
          MetricError: there is no such graph.
        """
        content = _read(path)
        self.digest = hashlib.sha256(content).hexdigest()
        self.is_known = self.digest == KNOWN_SHA256
        self._batch_size = batch_size
        with tf.Graph().as_default() as graph:
            self._images = tf.placeholder(tf.float32, [None, None, None, 3])
            self._features = _import(path, content, self._images)
            self.dimensions = self._features.shape[-1]
            config = tf.ConfigProto(allow_soft_placement=True)  # its ops are old: some may have no GPU kernel
            config.gpu_options.allow_growth = True
            self._session = tf.Session(graph=graph, config=config)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._session.close()

    def features(self, images):
        """Yields the features of images, batch by batch, float32 [k, dimensions], and shows progress.

        Args:
          images: uint8 [n, height, width, 3], which may be memory-mapped.
        """
        with tqdm(desc='features', total=len(images), unit=' images') as bar:
            for start in range(0, len(images), self._batch_size):
                part = images[start:start + self._batch_size]
                yield self._session.run(self._features, {self._images: part})[:, 0, 0]
                bar.update(len(part))


def _read(path):
    try:
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise MetricError(f'{path} cannot be read: {error.strerror}; {_expected()}') from error


def _import(path, content, images):
    """Returns the tensor of the features, [n, 1, 1, d], of images, a float32 tensor [n, height, width, 3]."""
    graph_def = tf.GraphDef()
    try:
        graph_def.ParseFromString(content)
    except DecodeError as error:
        raise MetricError(f'{path} is no GraphDef; {_expected()}') from error
    missing = {INPUT, FEATURES} - {node.name for node in graph_def.node}
    if missing:
        raise MetricError(f'{path} has no node {" nor ".join(sorted(missing))}; {_expected()}')
    try:
        graph_def = tf.graph_util.extract_sub_graph(graph_def, [FEATURES])  # what follows is of one image alone
        for node in graph_def.node:
            node.attr.pop('_output_shapes', None)  # likewise
        features, = tf.import_graph_def(graph_def, {f'{INPUT}:0': images}, [f'{FEATURES}:0'], name='FID_Inception_Net')
    except (ValueError, KeyError, tf.errors.OpError) as error:
        raise MetricError(f'{path} cannot be imported: {error}; {_expected()}') from error
    if features.shape.rank != 4 or features.shape[1:3] != [1, 1] or features.shape[3] is None:
        raise MetricError(f'{path} gives a {FEATURES} of shape {features.shape}, not [images, 1, 1, features]; '
                          f'{_expected()}')
    return features


def _expected():
    return f'what is needed is {GRAPH_NAME}, which {GRAPH_SOURCE} holds'
