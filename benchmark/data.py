"""The data's way to the model, and what bare TensorFlow does with the same files. All rates are images a second."""

import tempfile
import time

import tensorflow as tf2
import tensorflow.compat.v1 as tf

from data.crop import crop_of
from data.pack import make_pack
from data.stream import stream


def packing(source, size):
    """Returns the rate of making a pack, from nothing to the file renamed into place."""
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        make_pack(source, 'auto', size, cache)
        return len(source.names) / (time.perf_counter() - start)


def bare_tensorflow(encoded, size, batch):
    """Returns the rate of decoding JPEGs, cropping and resizing them (antialiased), by ``tf.data`` alone."""
    def prepare(jpeg):
        image = tf.io.decode_jpeg(jpeg, channels=3)
        rows, columns = crop
        resized = tf2.image.resize(image[rows, columns], [size, size], antialias=True)
        return tf.cast(tf.round(resized), tf.uint8)

    with tf.Graph().as_default(), tf.Session() as session:
        crop = crop_of('auto', session.run(tf.io.decode_jpeg(encoded[0])).shape[:2])
        files = tf.data.Dataset.from_tensor_slices(encoded)
        batches = files.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).batch(batch).prefetch(tf.data.AUTOTUNE)
        arrived = tf.data.make_initializable_iterator(batches)
        following = arrived.get_next()
        session.run(arrived.initializer)
        start = time.perf_counter()
        for _ in range(-(-len(encoded) // batch)):
            session.run(following)
        return len(encoded) / (time.perf_counter() - start)


def streaming(images, batch, seconds=2.0):
    """Returns the rate of the stream that training takes: float32 in [-1, 1], in batches."""
    with tf.Graph().as_default(), tf.Session() as session:
        batches = tf.data.make_initializable_iterator(stream(images, batch, seed=0, first_step=0))
        arrived = batches.get_next().op  # fetched as an op: what is measured is not the copy into Python
        session.run(batches.initializer)
        session.run(arrived)
        start, count = time.perf_counter(), 0
        while time.perf_counter() < start + seconds:
            session.run(arrived)
            count += batch
        return count / (time.perf_counter() - start)


def starting(images, batch, step):
    """Returns the seconds to the first batch of a stream that starts at a step."""
    with tf.Graph().as_default(), tf.Session() as session:
        batches = tf.data.make_initializable_iterator(stream(images, batch, seed=0, first_step=step))
        arrived = batches.get_next().op
        start = time.perf_counter()
        session.run(batches.initializer)
        session.run(arrived)
        return time.perf_counter() - start
