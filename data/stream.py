"""The stream: which images make the batch of a step, and the ``tf.data`` graph that delivers them."""

import functools

import numpy as np
import tensorflow.compat.v1 as tf


def steps_per_epoch(count, batch_size):
    """Returns how many whole batches ``count`` images make; the remainder waits for another epoch's order."""
    return count // batch_size


def batch_indices(step, count, batch_size, seed):
    """Returns which images make the batch of a step, int64 [batch_size], computed from (seed, step) alone.

    Epoch e is a permutation of all images drawn from (seed, e), and its steps are consecutive pieces of it.

    Args:
      step: steps before this one, from 0.
      count: images in the pack, at least ``batch_size``.
      batch_size: images a step.
      seed: 0 to 2**32 - 1.
    """
    epoch, place = divmod(int(step), steps_per_epoch(count, batch_size))
    return _permutation(seed, epoch, count)[place * batch_size:(place + 1) * batch_size]


@functools.lru_cache(maxsize=2)
def _permutation(seed, epoch, count):
    # RandomState, because its streams are frozen for good (NEP 19): a run resumes in its own order on any NumPy.
    return np.random.RandomState([seed, epoch]).permutation(count).astype(np.int64, copy=False)


def stream(images, batch_size, seed, first_step, worker=0, workers=1):
    """Returns an endless ``tf.data.Dataset`` of the batches of ``first_step`` and all after it.

    Args:
      images: uint8 [n, size, size, 3], n at least ``batch_size * workers``, such as a pack's.
      batch_size: images a batch.
      seed: see ``batch_indices``.
      first_step: int64 scalar, a number or a tensor, read when an iterator is initialised.
      worker, workers: of a step's ``batch_size * workers`` images, this dataset has the slice of that worker.

    Returns:
      A dataset of float32 [batch_size, size, size, 3] in [-1, 1].
    """
    def take(step):
        indices = batch_indices(step, len(images), batch_size * workers, seed)
        return images[indices[worker * batch_size:(worker + 1) * batch_size]]

    @tf.autograph.experimental.do_not_convert  # there is nothing to convert, and it warns on Python 3.13
    def to_float(step):
        batch = tf.numpy_function(take, [step], tf.uint8, stateful=False)
        batch.set_shape([batch_size, *images.shape[1:]])
        return tf.cast(batch, tf.float32) / 127.5 - 1.0

    # A thread would tune it, for which a tf.train.Server waits up to a minute, answering nobody, as a session closes.
    options = tf.data.Options()
    options.autotune.enabled = False
    steps = tf.data.Dataset.range(first_step, tf.int64.max)
    return steps.map(to_float).prefetch(2).with_options(options)
