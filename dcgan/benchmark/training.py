"""Speed of training and drawing, and the floating-point operations that they take."""

import contextlib
import itertools
import time

import tensorflow.compat.v1 as tf

from data.stream import stream
from dcgan.cpu_kernels import cpu_kernels
from dcgan.device import make_session_config
from model import DCGAN

KERNEL = 5 * 5  # weights


class Training:
    """A model in training, by default of the article's size; a context that closes the session.

    Attributes:
      batch: images per step.
      training_flops, drawing_flops: floating-point operations per image.
    """

    def __init__(self, images, precision, *, xla=False, plain=False, **model):
        """Builds the graph and initializes it.

        Args:
          images: uint8 [n, size, size, 3], n at least the batch.
          precision, xla: see ``make_session_config``.
          plain: whether to build the article's plain graph, without ``cpu_kernels``.
          model: arguments of DCGAN.

        Raises:
          UserError: this device does not support the precision or XLA.
        """
        config = make_session_config(precision, xla)
        with tf.Graph().as_default():
            dcgan = DCGAN(**model)
            self.batch = dcgan.batch_size
            self.training_flops, self.drawing_flops = training_flops(dcgan), drawing_flops(dcgan)
            batches = tf.data.make_initializable_iterator(stream(images, self.batch, 0, 0))
            with contextlib.nullcontext() if plain else cpu_kernels():
                losses = dcgan.loss(batches.get_next())
            train = dcgan.train(losses, optimizers=_optimizers(precision))
            updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
            self._train = [tf.group(train, *updates), losses[dcgan.g], losses[dcgan.d]]
            with contextlib.nullcontext() if plain else cpu_kernels():
                self._draw = dcgan.g(dcgan.z).op
            self._session = tf.Session(config=config)
            self._session.run([tf.global_variables_initializer(), batches.initializer])

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._session.close()

    def train(self, steps):
        """Trains for some steps; returns the images per second."""
        return self._rate(self._train, steps)

    def draw(self, batches):
        """Generates batches of images, not fetched, with the moving averages; returns the images per second."""
        return self._rate(self._draw, batches)

    def _rate(self, fetched, times):
        start = time.perf_counter()
        for _ in range(times):
            self._session.run(fetched)
        return times * self.batch / (time.perf_counter() - start)


def _optimizers(precision):
    adams = [tf.train.AdamOptimizer(0.0002, 0.5) for _ in range(2)]
    if precision != 'float16':
        return adams
    return [tf.mixed_precision.MixedPrecisionLossScaleOptimizer(adam, 'dynamic') for adam in adams]


def drawing_flops(dcgan):
    """Returns the floating-point operations of drawing an image, two for each multiply-add of a layer.

    Batch normalization, activations and biases are not counted. Padding at the edges is.
    """
    return 2 * sum(_generator(dcgan))


def training_flops(dcgan):
    """Returns the floating-point operations of a step for each image of its batch, counted as in ``drawing_flops``.

    A layer of the generator is computed three times: forward, gradient of the weights, gradient of the inputs. A layer
    of the discriminator is computed seven times: forward on generated and on real images, the gradient of the inputs
    for the generator's loss, and both gradients on both batches for its own loss. The generator's first layer needs no
    gradient of its inputs, and the discriminator's first layer needs it only for the generator's loss. At full size the
    sum is 6.1 GFLOP.
    """
    first, *others = _generator(dcgan)
    generator = 2 * first + 3 * sum(others)
    first, *others = _discriminator(dcgan)
    discriminator = 5 * first + 7 * sum(others)
    return 2 * (generator + discriminator)


def _generator(dcgan):
    """Yields the multiply-adds of each layer for an image."""
    size, depths = dcgan.s_size, dcgan.g.depths
    yield dcgan.z_dim * size ** 2 * depths[0]
    for channels, filters in itertools.pairwise(depths):
        yield size ** 2 * KERNEL * channels * filters
        size *= 2


def _discriminator(dcgan):
    """Yields the multiply-adds of each layer for an image."""
    size, depths = 16 * dcgan.s_size, dcgan.d.depths
    for channels, filters in itertools.pairwise(depths):
        size //= 2
        yield size ** 2 * KERNEL * channels * filters
    yield size ** 2 * depths[-1] * 2
