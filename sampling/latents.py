"""Walks between latents and sums of them, as in the paper (Radford, Metz and Chintala, 2016, sect. 6.1, 6.3.2)."""

import itertools
import re
from typing import NamedTuple

import numpy as np

from runtime.errors import RunError
from sampling.seeds import MOST, parse_seeds, quoted

TERM = re.compile(r'\s*([+-]?)\s*(?:mean\s*\(([^()]*)\)|(\d+))\s*', re.ASCII)


def walk(stations, frames):
    """Returns the latents of straight walks from each station to the next, float32 [n - 1, frames, z_dim].

    Args:
      stations: latents, float32 [n, z_dim], n at least 2.
      frames: latents of each walk, both ends among them; at least 2.
    """
    place = np.linspace(0, 1, frames, dtype=np.float32)[:, np.newaxis]
    return np.stack([(1 - place) * start + place * end for start, end in itertools.pairwise(stations)])


class Term(NamedTuple):
    """What a sum adds or takes away: the mean of the latents of some seeds.

    Attributes:
      sign: 1 or -1.
      text: as it was written, without the sign.
      seeds: int64 [n], n at least 1.
    """

    sign: int
    text: str
    seeds: np.ndarray


def parse_sum(text, most=MOST):
    """Returns the Terms of a sum such as 'mean(7,9,12) - mean(3,4) + 20'.

    A seed stands for its latent, ``mean(...)`` for the mean of those that it names, as ``parse_seeds`` reads them.

    Args:
      text: the sum.
      most: how many seeds there may be.

    Raises:
      RunError: it is none, or has too many seeds.
    """
    terms, place, count = [], 0, 0
    while place < len(text) or not terms:
        match = TERM.match(text, place)
        if not match or (terms and not match[1]):
            raise RunError(f'the sum {quoted(text)} is not understood from {quoted(text[place:])} on; seeds and means '
                           'of seeds are added and taken away, as "mean(7,9,12) - mean(3,4) + 20"')
        terms.append(Term(-1 if match[1] == '-' else 1, text[match.start():match.end()].strip().lstrip('+- '),
                          parse_seeds(match[3] or match[2], most)))
        place = match.end()
        count += len(terms[-1].seeds)
        if count > most:
            raise RunError(f'the sum {quoted(text)} has more than {most:,} seeds, which are too many at once')
    return terms
