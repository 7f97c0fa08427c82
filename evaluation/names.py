"""Metrics as they are written: swd16k, msssim10k, fid50k, kid50k, of any sample size."""

import re
from typing import NamedTuple

from runtime.errors import RunError

KINDS = ('swd', 'msssim', 'fid', 'kid')
OF_FEATURES = ('fid', 'kid')  # those that take the Inception graph
PROGAN = 'swd16k', 16_384  # the one name whose k is no thousand
FEWEST = {'swd': 1, 'msssim': 1, 'fid': 2, 'kid': 2}


class Metric(NamedTuple):
    """A metric and its sample size.

    Attributes:
      name: as it was written.
      kind: of ``KINDS``.
      count: generated images; of msssim, pairs of them.
    """

    name: str
    kind: str
    count: int


def parse_metrics(names):
    """Returns the Metrics that names such as swd16k or fid5000 mean, each once.

    Raises:
      RunError: one is none.
    """
    if not names:
        raise RunError('--metrics names none; swd16k,msssim10k are some')
    metrics = {}
    for name in names:
        match = re.fullmatch(rf'({"|".join(KINDS)})(\d+)(k?)', name, re.ASCII)
        if not match:
            raise RunError(f'--metrics names {name!r}, which is no metric; {", ".join(KINDS)} are, with a sample size, '
                           'as swd16k, msssim10k, fid50k, kid50k or swd500')
        kind, count = match[1], int(match[2]) * (1000 if match[3] else 1)
        if name == PROGAN[0]:
            count = PROGAN[1]
        if count < FEWEST[kind]:
            raise RunError(f'--metrics names {name!r}, and {kind} takes {FEWEST[kind]} images or more')
        metrics[name] = Metric(name, kind, count)
    return list(metrics.values())


def name_of(kind, count):
    """Returns the name of a metric, as ``parse_metrics`` reads it."""
    thousands, rest = divmod(count, 1000)
    name = f'{kind}{thousands}k'
    return f'{kind}{count}' if rest or name == PROGAN[0] else name


def default_metrics(count, with_features):
    """Returns the usual metrics, each of as many images as usual or, of few real ones, as leave it a floor.

    Args:
      count: real images that there are.
      with_features: whether those that take the Inception graph are among them.
    """
    half = count // 2
    names = [PROGAN[0] if half >= PROGAN[1] else name_of('swd', half), name_of('msssim', min(10_000, half * half))]
    if with_features:
        names += [name_of(kind, min(50_000, half)) for kind in OF_FEATURES]
    return parse_metrics(names)
