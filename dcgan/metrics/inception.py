"""The Inception network of 2015, which computes the features for FID and KID."""

import hashlib

import tensorflow.compat.v1 as tf
from google.protobuf.message import DecodeError

from dcgan.errors import UserError, reason_of
from dcgan.files import read_file
from dcgan.progress import Progress

GRAPH_NAME = 'classify_image_graph_def.pb'
GRAPH_SOURCE = 'http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz'
KNOWN_SHA256 = '009d6814d1bc560d4e7b236e170e9b2d5ca6f4b57bd8037f6db05776204415c6'  # of that graph, 95,673,916 bytes
INPUT, FEATURES = 'ExpandDims', 'pool_3'  # its nodes
EXPECTED = f'expected {GRAPH_NAME} from {GRAPH_SOURCE}'


class Inception:
    """The network, in its own session, which its context closes.

    It is used as in the code of Heusel et al. (2017), the basis of published FIDs: 'ExpandDims' takes images in
    [0, 255], the graph itself resizes them to 299x299, and the features are the 2048 means of 'pool_3'.

    Attributes:
      digest: SHA-256 of the file, in hexadecimal.
      dimensions: length of a feature vector; 2048 for the published graph.
      is_known: whether this is the graph that published numbers use.
    """

    def __init__(self, path, batch_size=50):
        """Reads and imports the graph.

        Args:
          path: of the file of the frozen graph, a Path.
          batch_size: maximum number of images to process at once.

        Raises:
          UserError: the file cannot be read or is another graph.
        """
        try:
            content = read_file(path, 1 << 30)
            with tf.Graph().as_default() as graph:
                self._images = tf.placeholder(tf.float32, [None, None, None, 3])
                self._features = _import(content, self._images)
        except OSError as error:
            raise UserError(f'cannot read {path}: {reason_of(error)}; {EXPECTED}') from error
        except (DecodeError, ValueError, KeyError, AssertionError, tf.errors.OpError) as error:
            raise UserError(f'cannot use {path}: {error}; {EXPECTED}') from error
        self.digest = hashlib.sha256(content).hexdigest()
        self.is_known = self.digest == KNOWN_SHA256
        self.dimensions = self._features.shape[-1]
        self._batch_size = batch_size
        config = tf.ConfigProto(allow_soft_placement=True)  # some of its old ops may have no GPU kernel
        config.gpu_options.allow_growth = True
        self._session = tf.Session(graph=graph, config=config)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._session.close()

    def features(self, images, title='features'):
        """Yields the features of each batch of images, float32 [k, dimensions]; shows progress.

        Args:
          images: uint8 [n, height, width, 3], which may be memory-mapped.
          title: of the progress bar.
        """
        with Progress(title, len(images), 'images') as bar:
            for start in range(0, len(images), self._batch_size):
                part = images[start:start + self._batch_size]
                yield self._session.run(self._features, {self._images: part})[:, 0, 0]
                bar.update(len(part))


def _import(content, images):
    """Returns the features of images as a tensor [n, 1, 1, d].

    Args:
      content: bytes of the frozen graph.
      images: a float32 tensor [n, height, width, 3].

    Raises:
      DecodeError, ValueError, KeyError, AssertionError, tf.errors.OpError: it is another graph.
    """
    graph_def = tf.graph_util.extract_sub_graph(tf.GraphDef.FromString(content), [FEATURES])  # the rest: single images
    for node in graph_def.node:
        node.attr.pop('_output_shapes', None)  # these are of a single image, too
    features, = tf.import_graph_def(graph_def, {f'{INPUT}:0': images}, [f'{FEATURES}:0'], name='FID_Inception_Net')
    if features.shape.rank != 4 or features.shape[1:3] != [1, 1] or features.shape[3] is None:
        raise ValueError(f'{FEATURES} has shape {features.shape}, not [images, 1, 1, features]')
    return features
