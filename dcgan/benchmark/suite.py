"""The measurements of bench.py: training relative to a matrix product, drawing, packing, input pipeline."""

import contextlib
import itertools
import json
import os
import platform
import statistics
import tempfile
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from data.pack import make_pack
from data.source import open_source
from dcgan.benchmark.data import packing, streaming, tf_data
from dcgan.benchmark.product import Product
from dcgan.benchmark.training import Training
from dcgan.cores import cores
from dcgan.device import gpu, processor
from dcgan.errors import UserError
from dcgan.progress import Progress

MAX_IMAGES = 4000  # to pack
SIZE, BATCH = 64, 128
STEPS = 2  # a measurement


class Variant(NamedTuple):
    """A way to train: the precision, whether XLA compiles the graph, and whether ``cpu_kernels`` are off (plain)."""

    precision: str
    xla: bool
    plain: bool

    def __str__(self):
        return self.precision + ', XLA' * self.xla + ', plain graph' * self.plain


class Figures(dict):
    """Measured values, one a round: {(name, unit): [value, ...]}."""

    def add(self, name, unit, value):
        """Adds the value of a round."""
        self.setdefault((name, unit), []).append(value)


def measure(dataset_dir, rounds):
    """Measures everything; shows progress.

    Args:
      dataset_dir: the images; None is the embedded faces.
      rounds: how many times to measure.

    Returns:
      Figures; a description of the images; and for each thing that could not be measured, a sentence that says why.

    Raises:
      UserError: the images cannot be used.
    """
    figures = Figures()
    source = open_source(dataset_dir)
    if len(source.names) < BATCH:
        raise UserError(f'{source.name} holds {len(source.names)} images, fewer than a batch of {BATCH}; use a larger '
                        'data set')
    all_images = source.images
    source = source._replace(names=source.names[:MAX_IMAGES], stamps=source.stamps[:MAX_IMAGES],
                             images=lambda: itertools.islice(all_images(), MAX_IMAGES))
    with tempfile.TemporaryDirectory() as cache, contextlib.ExitStack() as stack:
        pack = make_pack(source, 'auto', SIZE, cache)
        trainings, missing = _trainings(pack.images, stack)
        products = {precision: stack.enter_context(Product(precision))
                    for precision in dict.fromkeys(variant.precision for variant in trainings)}
        for _ in _rounds(rounds, 'training'):
            _measure_training(figures, products, trainings)
        encoded = _encoded(source, missing)
        for _ in _rounds(rounds, 'packing'):
            _measure_data(figures, source, encoded, pack.images)
    return figures, f'{len(pack.images):,} images of {source.name} at {SIZE}x{SIZE}', missing


def _rounds(count, what):
    return Progress(what, count, 'rounds').of(range(count))


def _trainings(images, stack):
    """Returns {Variant: Training} of those that work here, each after its first step; and why the others do not."""
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
        except UserError as error:
            missing.append(f'{variant}: {error}')
        else:
            trainings[variant].train(1)
    next(iter(trainings.values())).draw(1)
    return trainings, missing


def _measure_training(figures, products, trainings):
    limits = {precision: product.rate() for precision, product in products.items()}
    rates = {variant: trained.train(STEPS) for variant, trained in trainings.items()}
    for precision, limit in limits.items():
        figures.add(f'matrix product, {precision}', 'GFLOP/s', limit / 1e9)
    for variant, rate in rates.items():
        figures.add(f'training, {variant}', 'images/s', rate)
        share = rate * trainings[variant].training_flops / limits[variant.precision]
        figures.add(f'  training / matrix product, {variant}', '%', 100 * share)
        if variant.plain:
            figures.add(f'  cpu_kernels / plain, {variant.precision}', '', rates[variant._replace(plain=False)] / rate)
    variant, first = next(iter(trainings.items()))
    rate = first.draw(STEPS)
    figures.add(f'drawing, {variant}', 'images/s', rate)
    share = rate * first.drawing_flops / limits[variant.precision]
    figures.add(f'  drawing / matrix product, {variant}', '%', 100 * share)


def _encoded(source, missing):
    """Returns the bytes of each file, or None if plain ``tf.data`` cannot decode them all."""
    try:
        encoded = [content for _, content in source.images()]
        if not all(isinstance(content, bytes) for content in encoded):
            raise UserError('an image cannot be read')
        tf_data(encoded, SIZE, BATCH)
    except (UserError, tf.errors.InvalidArgumentError):
        missing.append('plain tf.data: it cannot decode all of these images')
        return None
    return encoded


def _measure_data(figures, source, encoded, images):
    rate = packing(source, SIZE)
    figures.add('packing', 'images/s', rate)
    if encoded is not None:
        plain = tf_data(encoded, SIZE, BATCH)
        figures.add('  plain tf.data: decode_jpeg, crop, antialiased resize', 'images/s', plain)
        figures.add('  packing / plain tf.data', '', rate / plain)
    figures.add(f'stream, in batches of {BATCH}', 'images/s', streaming(images, BATCH))


def describe_platform():
    """Returns {name: value}: the machine, and versions of software."""
    return {'gpu': gpu(), 'processor': processor(), 'cores': cores(), 'tensorflow': tf.__version__,
            'onednn': os.environ['TF_ENABLE_ONEDNN_OPTS'], 'python': platform.python_version()}


def format_table(figures):
    """Yields a line of text for each of the Figures: median, unit, minimum and maximum."""
    for (name, unit), values in figures.items():
        digits = 3 if max(values) < 1 else 2 if max(values) < 10 else 1 if max(values) < 100 else 0
        median, least, most = (f'{form(values):,.{digits}f}' for form in (statistics.median, min, max))
        yield f'{name:<60}{median:>10} {unit:<9} [{least}..{most}]'


def to_json(figures, images, missing):
    """Returns what ``measure`` returned as the bytes of a JSON object."""
    return json.dumps({
        'platform': describe_platform(), 'images': images, 'batch': BATCH, 'not_measured': missing,
        'figures': [{'name': name.strip(), 'unit': unit, 'median': statistics.median(values), 'values': values}
                    for (name, unit), values in figures.items()],
    }, indent=2).encode() + b'\n'
