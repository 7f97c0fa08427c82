"""The input pipeline: a ``tf.data`` graph that delivers the batch of each step."""

import tensorflow.compat.v1 as tf

from data.order import batch_indices, mirrored


def stream(images, batch_size, seed, first_step, rank=0, world_size=1, mirror=False):
    """Returns an endless dataset of the batches of ``first_step`` and all later steps.

    A step takes ``batch_size * world_size`` images; each worker gets its own slice of them.

    Args:
      images: uint8 [n, size, size, 3], e.g. those of a pack; n is at least ``batch_size * world_size``.
      batch_size: int, images per batch.
      seed: int, see ``batch_indices``.
      first_step: int64 scalar, a number or a tensor; read when an iterator is initialized.
      rank: int, the number of this worker, from 0.
      world_size: int, the number of workers.
      mirror: whether each image is mirrored in about half of all epochs, see ``mirrored``.

    Returns:
      A ``tf.data.Dataset`` of float32 [batch_size, size, size, 3] in [-1, 1].
    """
    def take(step):
        own = slice(rank * batch_size, (rank + 1) * batch_size)
        batch = images[batch_indices(step, len(images), batch_size * world_size, seed)[own]]
        if mirror:
            flipped = mirrored(step, len(images), batch_size * world_size, seed)[own]
            batch[flipped] = batch[flipped, :, ::-1]
        return batch

    @tf.autograph.experimental.do_not_convert  # nothing to convert, and AutoGraph warns on Python 3.13
    def to_float(step):
        batch = tf.numpy_function(take, [step], tf.uint8, stateful=False)
        batch.set_shape([batch_size, *images.shape[1:]])
        return tf.cast(batch, tf.float32) / 127.5 - 1.0

    # The autotuning thread sleeps for up to a minute. A tf.train.Server that closes a session waits for it, and
    # answers no other request meanwhile.
    options = tf.data.Options()
    options.autotune.enabled = False
    steps = tf.data.Dataset.range(first_step, tf.int64.max)
    return steps.map(to_float).prefetch(2).with_options(options)
