"""Speed of the input pipeline and of plain ``tf.data`` on the same files. All rates are images per second."""

import tempfile
import time

import tensorflow as tf2
import tensorflow.compat.v1 as tf

from data.crop import crop_of
from data.pack import make_pack
from data.stream import stream


def packing(source, size):
    """Returns the rate of making a pack of a Source's images, in an empty cache; ``size`` is in pixels."""
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        make_pack(source, 'auto', size, cache)
        return len(source.names) / (time.perf_counter() - start)


def tf_data(encoded, size, batch):
    """Returns the rate of decoding, cropping and resizing images (antialiased) with ``tf.data`` alone.

    Args:
      encoded: the bytes of each JPEG or PNG file, a list.
      size: height and width to resize to, in pixels.
      batch: images a batch.

    Raises:
      tf.errors.InvalidArgumentError: a file cannot be decoded.
    """
    def prepare(jpeg):
        image = tf.io.decode_jpeg(jpeg, channels=3)
        rows, columns = crop
        resized = tf2.image.resize(image[rows, columns], [size, size], antialias=True)
        return tf.cast(tf.round(resized), tf.uint8)

    with tf.Graph().as_default(), tf.Session() as session:
        crop = crop_of('auto', session.run(tf.io.decode_jpeg(encoded[0])).shape[:2])
        files = tf.data.Dataset.from_tensor_slices(encoded)
        batches = files.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).batch(batch).prefetch(tf.data.AUTOTUNE)
        iterator = tf.data.make_initializable_iterator(batches)
        fetch = iterator.get_next()
        session.run(iterator.initializer)
        start = time.perf_counter()
        for _ in range(-(-len(encoded) // batch)):
            session.run(fetch)
        return len(encoded) / (time.perf_counter() - start)


def streaming(images, batch, seconds=2.0):
    """Returns the rate of the stream that feeds training.

    Args:
      images: uint8 [n, size, size, 3], n at least the batch.
      batch: images a batch.
      seconds: how long to measure, at least.
    """
    with tf.Graph().as_default(), tf.Session() as session:
        batches = tf.data.make_initializable_iterator(stream(images, batch, seed=0, first_step=0))
        fetch = batches.get_next().op  # an op, so that nothing is copied into Python
        session.run(batches.initializer)
        session.run(fetch)
        start, count = time.perf_counter(), 0
        while time.perf_counter() < start + seconds:
            session.run(fetch)
            count += batch
        return count / (time.perf_counter() - start)
