"""The measurements of bench.py: training relative to a matrix product of the same round."""

import statistics
from typing import NamedTuple

from dcgan.benchmark.product import Product
from dcgan.benchmark.training import FLOPS, Training
from dcgan.device import gpu
from dcgan.errors import UserError
from dcgan.progress import Progress

STEPS = 2  # a measurement


class Variant(NamedTuple):
    """A way to train: the precision, whether XLA compiles the graph, and whether ``cpu_kernels`` are off (plain)."""

    precision: str
    xla: bool
    is_plain: bool

    def __str__(self):
        return self.precision + ', XLA' * self.xla + ', plain graph' * self.is_plain


def measure(rounds):
    """Measures everything; shows progress.

    Args:
      rounds: how many times to measure.

    Returns:
      The measured values, one a round, {(name, unit): [value, ...]}; and for each thing that could not be measured, a
      sentence that says why.
    """
    trainings, missing = _trainings()
    precisions = dict.fromkeys(variant.precision for variant in trainings)
    products = {precision: Product(precision) for precision in precisions}
    figures = {}
    for _ in Progress('training', rounds, 'rounds').of(range(rounds)):
        for key, value in _round(products, trainings):
            figures.setdefault(key, []).append(value)
    return figures, missing


def _trainings():
    """Returns {Variant: Training} of those that work here; and why the others do not."""
    if gpu():
        variants = [Variant(precision, xla, False) for precision in ('float32', 'float16') for xla in (False, True)]
    else:
        variants = [Variant(precision, False, is_plain) for precision in ('float32', 'bfloat16')
                    for is_plain in (False, True)]
    trainings, missing = {}, []
    for variant in variants:
        try:
            trainings[variant] = Training(*variant)
        except UserError as error:
            missing.append(f'{variant}: {error}')
    return trainings, missing


def _round(products, trainings):
    """Yields ((name, unit), value) of each figure, measured once."""
    limits = {precision: product.rate() for precision, product in products.items()}
    rates = {variant: training.rate(STEPS) for variant, training in trainings.items()}
    for precision, limit in limits.items():
        yield (f'matrix product, {precision}', 'GFLOP/s'), limit / 1e9
    for variant, rate in rates.items():
        yield (f'training, {variant}', 'images/s'), rate
        yield (f'  training / matrix product, {variant}', '%'), 100 * rate * FLOPS / limits[variant.precision]
        if variant.is_plain:
            yield (f'  cpu_kernels / plain, {variant.precision}', ''), rates[variant._replace(is_plain=False)] / rate


def format_table(figures):
    """Yields a line of text for each figure: median, unit, minimum and maximum."""
    for (name, unit), values in figures.items():
        digits = 3 if max(values) < 1 else 2 if max(values) < 10 else 1 if max(values) < 100 else 0
        median, least, most = (f'{form(values):,.{digits}f}' for form in (statistics.median, min, max))
        yield f'{name:<60}{median:>10} {unit:<9} [{least}..{most}]'
