"""Seeds as text: 7,100-163."""

import re

import numpy as np

from dcgan.errors import UserError

MAX_SEEDS = 10_000_000  # at once
MAX_SEED = 2**63 - 1
MAX_LENGTH = 1 << 20  # characters


def parse_seeds(text, max_seeds=MAX_SEEDS):
    """Returns the seeds that a text names, int64 [n], n at least 1, in its order.

    Args:
      text: whole numbers from 0 and ranges of them, both ends included, separated by commas: '7,100-163'.
      max_seeds: the most that it may name.

    Raises:
      UserError: it is invalid, or names too many.
    """
    if len(text) > MAX_LENGTH:
        raise UserError(f'the list of seeds has {len(text):,} characters; the limit is {MAX_LENGTH:,}')
    ranges, count = [], 0
    for part in text.split(','):
        match = re.fullmatch(r'(\d{1,19})(?:\s*-\s*(\d{1,19}))?', part.strip(), re.ASCII)
        if not match:
            raise UserError(f'invalid seed {shorten(part.strip())}; expected e.g. 7,100-163')
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UserError(f'invalid range {first}-{last} of seeds; expected {last}-{first}')
        if last > MAX_SEED:
            raise UserError(f'invalid seed {last}; the largest is {MAX_SEED}')
        ranges.append((first, last))
        count += last - first + 1
        if count > max_seeds:
            raise UserError(f'{shorten(text)} names more than {max_seeds:,} seeds')
    return np.concatenate([np.arange(last - first + 1, dtype=np.int64) + first for first, last in ranges])


def format_seeds(seeds):
    """Returns seeds as ``parse_seeds`` reads them, consecutive ones as a range."""
    seeds = np.asarray(seeds)
    runs = np.split(seeds, np.flatnonzero(np.diff(seeds) != 1) + 1)
    return ','.join(f'{run[0]}' if len(run) == 1 else f'{run[0]}-{run[-1]}' for run in runs)


def shorten(text):
    """Returns a text in quotes, cut if it is long."""
    return repr(text if len(text) <= 60 else f'{text[:57]}...')
