"""Speed of training the article's model, at full size."""

import contextlib
import time

import numpy as np
import tensorflow.compat.v1 as tf

from data.stream import stream
from dcgan.cpu_kernels import cpu_kernels
from dcgan.device import make_session_config
from model import DCGAN

# Floating-point operations of a step for each image of its batch: two for each multiply-add of a layer. Padding at the
# edges counts; batch normalization, activations and biases do not. A layer of the generator is computed three times:
# forward, gradient of the weights, gradient of the inputs. A layer of the discriminator is computed seven times:
# forward on generated and on real images, the gradient of the inputs for the generator's loss, and both gradients on
# both batches for its own loss. The generator's first layer needs no gradient of its inputs, and the discriminator's
# first layer needs it only for the generator's loss.
FLOPS = 6_091_800_576


class Training:
    """A model in training, on images of noise.

    Attributes:
      batch_size: images per step.
    """

    def __init__(self, precision, xla=False, is_plain=False, **model):
        """Builds the graph, initializes it and trains for a step, which loads the kernels.

        Args:
          precision, xla: see ``make_session_config``.
          is_plain: whether to build the article's graph without ``cpu_kernels``.
          model: arguments of DCGAN; by default it is the article's.

        Raises:
          UserError: this device does not support the precision or XLA.
        """
        config = make_session_config(precision, xla)
        with tf.Graph().as_default():
            dcgan = DCGAN(**model)
            self.batch_size, size = dcgan.batch_size, 16 * dcgan.s_size
            images = np.random.default_rng(0).integers(0, 256, [4 * self.batch_size, size, size, 3], np.uint8)
            batches = tf.data.make_initializable_iterator(stream(images, self.batch_size, seed=0, first_step=0))
            with contextlib.nullcontext() if is_plain else cpu_kernels():
                losses = dcgan.loss(batches.get_next())
            train = dcgan.train(losses, optimizers=_optimizers(precision))
            updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
            self._step = [tf.group(train, *updates), losses[dcgan.g], losses[dcgan.d]]
            self._session = tf.Session(config=config)
            self._session.run([tf.global_variables_initializer(), batches.initializer])
        self.rate(1)

    def rate(self, steps):
        """Returns the images per second of some steps."""
        start = time.perf_counter()
        for _ in range(steps):
            self._session.run(self._step)
        return steps * self.batch_size / (time.perf_counter() - start)


def _optimizers(precision):
    adams = [tf.train.AdamOptimizer(0.0002, 0.5) for _ in range(2)]
    if precision != 'float16':
        return adams
    return [tf.mixed_precision.MixedPrecisionLossScaleOptimizer(adam, 'dynamic') for adam in adams]
