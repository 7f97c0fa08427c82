"""Seeds as they are written: 7,100-163."""

import re

import numpy as np

from runtime.errors import RunError

MOST = 10_000_000  # at once
LARGEST = 2**63 - 1
LONGEST = 100  # letters of a seed or range: Python refuses to read a number of thousands


def parse_seeds(text, most=MOST):
    """Returns the seeds that a text names, int64 [n], n at least 1, in its order.

    Args:
      text: whole numbers from 0 and ranges of them, both ends included, separated by commas: '7,100-163'.
      most: how many there may be.

    Raises:
      RunError: it names none, or too many.
    """
    ranges = []
    for part in text.split(','):
        match = re.fullmatch(r'\s*(\d+)\s*(?:-\s*(\d+)\s*)?', part, re.ASCII)
        if not match:
            raise RunError(f'{quoted(part.strip())} in the seeds {quoted(text)} is no seed: whole numbers from 0 and '
                           'ranges are, separated by commas, as 7,100-163')
        if len(part) > LONGEST:
            raise RunError(f'{quoted(part)} in the seeds is too long; the largest seed is {LARGEST}')
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise RunError(f'{part.strip()} in the seeds {quoted(text)} ends before it begins; {last}-{first} would do')
        if last > LARGEST:
            raise RunError(f'{last} in the seeds {quoted(text)} is too large; the largest seed is {LARGEST}')
        ranges.append((first, last))
    count = sum(last - first + 1 for first, last in ranges)
    if count > most:
        raise RunError(f'{quoted(text)} names {count:,} seeds, more than {most:,} at once')
    return np.concatenate([np.arange(last - first + 1, dtype=np.int64) + first for first, last in ranges])


def write_seeds(seeds):
    """Returns seeds as ``parse_seeds`` reads them, what follows one another as a range."""
    seeds = np.asarray(seeds)
    runs = np.split(seeds, np.flatnonzero(np.diff(seeds) != 1) + 1)
    return ','.join(f'{run[0]}' if len(run) == 1 else f'{run[0]}-{run[-1]}' for run in runs)


def quoted(text):
    """Returns a text in quotes, the rest of a long one left out."""
    return repr(text if len(text) <= 60 else f'{text[:57]}...')
