"""Training and drawing at full size, and how many floating-point operations they take."""

import contextlib
import itertools
import time
from unittest import mock

import tensorflow.compat.v1 as tf

from data.stream import stream
from model import DCGAN
from runtime.session import session_config

KERNEL = 5 * 5


class Training:
    """A model in training, of the article's size unless another is named; a context.

    Attributes:
      batch: images a step.
      training_work, drawing_work: floating-point operations for an image.
    """

    def __init__(self, images, precision, *, xla=False, plain=False, **model):
        """Builds it.

        Args:
          images: uint8 [n, size, size, 3], n at least the batch.
          precision, xla: see ``session_config``.
          plain: whether without ``faster``, as the article.
          model: what DCGAN takes.

        Raises:
          RunError: it is not to be had here.
        """
        config = session_config(precision, xla)
        with tf.Graph().as_default():
            dcgan = DCGAN(**model)
            self.batch = dcgan.batch_size
            self.training_work, self.drawing_work = training_work(dcgan), drawing_work(dcgan)
            batches = tf.data.make_initializable_iterator(stream(images, self.batch, 0, 0))
            with mock.patch('faster.applies', return_value=False) if plain else contextlib.nullcontext():
                losses = dcgan.loss(batches.get_next())
            self._train = [dcgan.train(losses, loss_scaling=precision == 'float16'), losses[dcgan.g], losses[dcgan.d]]
            self._draw = dcgan.g(dcgan.z).op
            self._session = tf.Session(config=config)
            self._session.run([tf.global_variables_initializer(), batches.initializer])

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._session.close()

    def train(self, steps):
        """Trains, and returns the images a second."""
        return self._rate(self._train, steps)

    def draw(self, batches):
        """Draws batches of images by the moving averages, as ops alone, and returns the images a second."""
        return self._rate(self._draw, batches)

    def _rate(self, fetched, times):
        start = time.perf_counter()
        for _ in range(times):
            self._session.run(fetched)
        return times * self.batch / (time.perf_counter() - start)


def drawing_work(dcgan):
    """Returns the floating-point operations of drawing an image: two for each weight that a value is multiplied by.

    What batch normalisation, activations and biases take is left out; that a kernel reaches over the edge is not.
    """
    return 2 * sum(_generator(dcgan))


def training_work(dcgan):
    """Returns the floating-point operations of a step, for each of its images, counted as in ``drawing_work``.

    Each layer of the generator works three times: forward, and for the gradients of its weights and of its inputs; of
    the first, the inputs are latents, and need none. Each layer of the discriminator works seven times: forward on the
    generated and on the real images; for the generator's loss, the gradient of its inputs; for its own, on either
    images, the gradients of its weights and of its inputs; of the first, the inputs are images, and need none here. At
    full size this makes 6.1 GFLOP.
    """
    first, *others = _generator(dcgan)
    generator = 2 * first + 3 * sum(others)
    first, *others = _discriminator(dcgan)
    discriminator = 5 * first + 7 * sum(others)
    return 2 * (generator + discriminator)


def _generator(dcgan):
    """Returns the multiplications of each layer for an image."""
    size, depths = dcgan.s_size, dcgan.g.depths
    yield dcgan.z_dim * size ** 2 * depths[0]
    for channels, filters in itertools.pairwise(depths):
        yield size ** 2 * KERNEL * channels * filters
        size *= 2


def _discriminator(dcgan):
    size, channels = dcgan.s_size * 2 ** (len(dcgan.g.depths) - 1), 3
    for filters in dcgan.d.depths:
        size //= 2
        yield size ** 2 * KERNEL * channels * filters
        channels = filters
    yield size ** 2 * channels * 2
