"""Measures how fast this machine trains, beside how fast it multiplies matrices, and all that goes on around it.

    python bench.py                                    # with the embedded faces
    python bench.py --dataset_dir=img_align_celeba --json=speed.json

The model is the article's, full size, batch 128. What is compared is measured in turns, and a ratio is that of each
round; every figure is the median of --rounds. Nothing else should run beside it.
"""

import runtime.stop  # first: it sets what TensorFlow reads when it is loaded, which takes seconds

if __name__ == '__main__':
    runtime.stop.leave_on_signals('stopped before all was measured')

# isort: split

import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import tensorflow.compat.v1 as tf
from absl import app, flags
from tqdm import tqdm

from benchmark.data import bare_tensorflow, packing, starting, streaming
from benchmark.product import Product
from benchmark.start import alone, training
from benchmark.training import Training
from data.errors import DataError
from data.pack import make_pack
from data.source import open_source
from runtime.errors import RunError
from runtime.files import make_folder, write_output
from runtime.session import cores, gpu, processor

FLAGS = flags.FLAGS

flags.DEFINE_string('dataset_dir', None, 'Folder of images or a .zip of one. Unset: the embedded faces.')
flags.DEFINE_integer('rounds', 5, 'How often each thing is measured.', lower_bound=1)
flags.DEFINE_string('json', None, 'Also write all that was measured into this file, in place of what it holds.')

IMAGES = 4000  # that are packed, at the most, of those there are
SIZE, BATCH = 64, 128
STEPS = 2  # in a turn



class Variant(NamedTuple):
    """A way to train: in a precision, by XLA or not, plain, as the article does, or with ``faster``."""

    precision: str
    xla: bool
    plain: bool

    def __str__(self):
        return self.precision + ', XLA' * self.xla + ', plain graph' * self.plain


class Figures(dict):
    """What was measured, once a round: {(name, unit): [value, ...]}, in the order in which it came."""

    def add(self, name, unit, value):
        self.setdefault((name, unit), []).append(value)


def measure():
    """Measures what is to be measured.

    Returns:
      Figures, a line of text on the images, and the sentences of what could not be measured.

    Raises:
      DataError: the images cannot be used.
      RunError: training failed.
    """
    figures = Figures()
    source = open_source(FLAGS.dataset_dir)
    if len(source.names) < BATCH:
        raise DataError(f'{source.name} holds {len(source.names)} images, fewer than a batch of {BATCH}')
    source = source._replace(names=source.names[:IMAGES], stamps=source.stamps[:IMAGES])
    with tempfile.TemporaryDirectory() as cache, contextlib.ExitStack() as stack:
        pack = make_pack(source, 'auto', SIZE, cache)
        print(f'train.py packs all of {source.name} first, where it has not yet', file=sys.stderr)
        training(FLAGS.dataset_dir)
        # First, as a process counts as its own the memory that held the one that started it.
        for _ in _rounds('starting'):
            _measure_start(figures, pack.path)
        trainings, missing = _trainings(pack.images, stack)
        products = {precision: stack.enter_context(Product(precision))
                    for precision in dict.fromkeys(variant.precision for variant in trainings)}
        for _ in _rounds('training'):
            _measure_training(figures, products, trainings)
        encoded = _encoded(source, missing)
        for _ in _rounds('packing'):
            _measure_data(figures, source, encoded, pack.images)
    return figures, f'{len(pack.images):,} images of {source.name} at {SIZE}x{SIZE}', missing


def _rounds(what):
    return tqdm(range(FLAGS.rounds), what, unit=' rounds')


def _trainings(images, stack):
    """Returns {Variant: Training} of all that are to be had here, each after its first step; and why others are not."""
    if gpu():
        variants = [Variant(precision, xla, False) for precision in ('float32', 'float16') for xla in (False, True)]
    else:
        variants = [Variant(precision, False, plain) for precision in ('float32', 'bfloat16')
                    for plain in (False, True)]
    trainings, missing = {}, []
    for variant in variants:
        try:
            trainings[variant] = stack.enter_context(
                Training(images, variant.precision, xla=variant.xla, plain=variant.plain))
        except RunError as error:
            missing.append(f'{variant}: {error}')
        else:
            trainings[variant].train(1)
    next(iter(trainings.values())).draw(1)
    return trainings, missing


def _measure_start(figures, pack):
    command, least = training(FLAGS.dataset_dir), alone(pack)
    figures.add('from the command of train.py to its first step', 's', command.seconds)
    figures.add('  TensorFlow, graph and step by themselves', 's', least.seconds)
    figures.add('  difference', 's', command.seconds - least.seconds)
    figures.add('memory of train.py, at its most', 'MB', command.memory / 1e6)


def _measure_training(figures, products, trainings):
    limits = {precision: product.rate() for precision, product in products.items()}
    rates = {variant: trained.train(STEPS) for variant, trained in trainings.items()}
    for precision, limit in limits.items():
        figures.add(f'product of matrices, {precision}', 'GFLOP/s', limit / 1e9)
    for variant, rate in rates.items():
        figures.add(f'training, {variant}', 'images/s', rate)
        share = rate * trainings[variant].training_work / limits[variant.precision]
        figures.add(f'  training / product, {variant}', '%', 100 * share)
        if variant.plain:
            figures.add(f'  ours / plain, {variant.precision}', '', rates[variant._replace(plain=False)] / rate)
    variant, first = next(iter(trainings.items()))
    rate = first.draw(STEPS)
    figures.add(f'drawing, {variant}', 'images/s', rate)
    figures.add(f'  drawing / product, {variant}', '%', 100 * rate * first.drawing_work / limits[variant.precision])


def _encoded(source, missing):
    """Returns the bytes of each file, None where bare TensorFlow cannot decode them all."""
    try:
        encoded = [source.read(name) for name in source.names]
        bare_tensorflow(encoded, SIZE, BATCH)
    except (DataError, tf.errors.InvalidArgumentError):
        missing.append('bare TensorFlow beside packing: not all of these images are whole JPEGs or PNGs')
        return None
    return encoded


def _measure_data(figures, source, encoded, images):
    rate = packing(source, SIZE)
    figures.add('packing', 'images/s', rate)
    if encoded is not None:
        bare = bare_tensorflow(encoded, SIZE, BATCH)
        figures.add('  bare TensorFlow: decode_jpeg, crop, antialiased resize', 'images/s', bare)
        figures.add('  packing / bare TensorFlow', '', rate / bare)
    figures.add(f'stream, in batches of {BATCH}', 'images/s', streaming(images, BATCH))
    figures.add('stream, to its first batch from step 100,000', 's', starting(images, BATCH, 100_000))


def _platform():
    return {'gpu': gpu(), 'processor': processor(), 'cores': cores(), 'tensorflow': tf.__version__,
            'onednn': os.environ['TF_ENABLE_ONEDNN_OPTS'], 'python': platform.python_version()}


def _table(figures):
    for (name, unit), values in figures.items():
        digits = 3 if max(values) < 1 else 2 if max(values) < 10 else 1 if max(values) < 100 else 0
        middle, least, most = (f'{form(values):,.{digits}f}' for form in (statistics.median, min, max))
        yield f'{name:<60}{middle:>10} {unit:<9} [{least}..{most}]'


def _as_json(figures, images, missing):
    return json.dumps({
        'platform': _platform(), 'images': images, 'batch': BATCH, 'not_measured': missing,
        'figures': [{'name': name.strip(), 'unit': unit, 'median': statistics.median(values), 'values': values}
                    for (name, unit), values in figures.items()],
    }, indent=2).encode() + b'\n'


def bench():
    """Measures, prints, and writes the JSON file; raises what ``measure`` does, and RunError where it cannot."""
    path = None if FLAGS.json is None else Path(os.path.expanduser(FLAGS.json))
    if path is not None:
        make_folder(path, 'json')
    figures, images, missing = measure()
    print(', '.join(f'{name} {value}' for name, value in _platform().items()))
    print(f'{images}; the model of the article, batches of {BATCH}; median of {FLAGS.rounds} [least..most]')
    print('\n'.join([*_table(figures), *(f'not measured: {sentence}' for sentence in missing)]))
    if path is not None:
        write_output(path, _as_json(figures, images, missing), 'json')


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f'{argv[1]} is not expected; --dataset_dir=PATH names the images')
    tf.logging.set_verbosity(tf.logging.ERROR)
    with runtime.stop.answering('bench.py', DataError, RunError):
        bench()


if __name__ == '__main__':
    app.run(main)
