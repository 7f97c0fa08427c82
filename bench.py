"""Measures the data's way to the model, beside what bare TensorFlow does, in one run.

    python bench.py                                    # on the embedded faces
    python bench.py --dataset_dir=img_align_celeba

Every figure is the median of --rounds; what is compared is measured in turns, and the ratio is that of each round.
"""

import runtime  # noqa: F401 (first: it sets what TensorFlow reads when it is loaded)

# isort: split

import statistics
import sys
import tempfile
import time

import tensorflow as tf2
import tensorflow.compat.v1 as tf
from absl import app, flags

import ops  # noqa: F401 (puts TensorFlow into graph mode)
from data.crop import crop_of
from data.errors import DataError
from data.pack import make_pack
from data.source import open_source
from data.stream import stream

FLAGS = flags.FLAGS

flags.DEFINE_string('dataset_dir', None, 'Folder of images or a .zip of one. Unset: the embedded faces.')
flags.DEFINE_integer('rounds', 5, 'How often each thing is measured.', lower_bound=1)

IMAGES = 4000  # at the most, of those there are
SIZE, BATCH = 64, 128


def packing(source):
    """Returns the images a second of making a pack, from nothing to the file renamed into place."""
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        make_pack(source, 'auto', SIZE, cache)
        return len(source.names) / (time.perf_counter() - start)


def bare_tensorflow(encoded):
    """Returns the images a second of decoding JPEGs, cropping and resizing them (antialiased), by ``tf.data`` alone."""
    def prepare(jpeg):
        image = tf.io.decode_jpeg(jpeg, channels=3)
        rows, columns = crop
        resized = tf2.image.resize(image[rows, columns], [SIZE, SIZE], antialias=True)
        return tf.cast(tf.round(resized), tf.uint8)

    with tf.Graph().as_default(), tf.Session() as session:
        crop = crop_of('auto', session.run(tf.io.decode_jpeg(encoded[0])).shape[:2])
        files = tf.data.Dataset.from_tensor_slices(encoded)
        batches = files.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)
        batch = tf.data.make_initializable_iterator(batches)
        following = batch.get_next()
        session.run(batch.initializer)
        start = time.perf_counter()
        for _ in range(-(-len(encoded) // BATCH)):
            session.run(following)
        return len(encoded) / (time.perf_counter() - start)


def streaming(images, seconds=3.0):
    """Returns the images a second of the stream that training takes: float32 in [-1, 1], in batches of 128."""
    with tf.Graph().as_default(), tf.Session() as session:
        batches = tf.data.make_initializable_iterator(stream(images, BATCH, seed=0, first_step=0))
        arrived = batches.get_next().op  # fetched as an op: what is measured is not the copy into Python
        session.run(batches.initializer)
        session.run(arrived)
        start, count = time.perf_counter(), 0
        while time.perf_counter() < start + seconds:
            session.run(arrived)
            count += BATCH
        return count / (time.perf_counter() - start)


def starting(images, step):
    """Returns the seconds to the first batch of a stream that starts at a step."""
    with tf.Graph().as_default(), tf.Session() as session:
        batches = tf.data.make_initializable_iterator(stream(images, BATCH, seed=0, first_step=step))
        arrived = batches.get_next().op
        start = time.perf_counter()
        session.run(batches.initializer)
        session.run(arrived)
        return time.perf_counter() - start


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f'{argv[1]} is not expected; --dataset_dir=PATH names the images')
    try:
        source = open_source(FLAGS.dataset_dir)
        if len(source.names) < BATCH:
            raise DataError(f'{source.name} holds {len(source.names)} images, fewer than a batch of {BATCH}')
        source = source._replace(names=source.names[:IMAGES], stamps=source.stamps[:IMAGES])
        encoded = [source.read(name) for name in source.names]
        packed, bare = zip(*((packing(source), bare_tensorflow(encoded)) for _ in range(FLAGS.rounds)), strict=True)
        with tempfile.TemporaryDirectory() as cache:
            images = make_pack(source, 'auto', SIZE, cache).images
            streamed = [streaming(images) for _ in range(FLAGS.rounds)]
            started = [starting(images, 100_000) for _ in range(FLAGS.rounds)]
    except DataError as error:
        sys.exit(f'bench.py: {error}')
    except KeyboardInterrupt:
        sys.exit('\nbench.py: stopped before all was measured')
    ratios = [ours / theirs for ours, theirs in zip(packed, bare, strict=True)]
    print(f'{len(encoded)} images of {source.name} at {SIZE}x{SIZE}, median of {FLAGS.rounds} [least..most]')
    report('packing, images a second', packed)
    report('bare TensorFlow: decode_jpeg, crop, antialiased resize', bare)
    report('  packing / bare TensorFlow', ratios, '.2f')
    report(f'stream in batches of {BATCH}, images a second', streamed)
    report('stream, seconds to the first batch from step 100,000', started, '.3f')


def report(what, values, form=',.0f'):
    print(f'{what:<55} {statistics.median(values):{form}} [{min(values):{form}}..{max(values):{form}}]')


if __name__ == '__main__':
    app.run(main)
