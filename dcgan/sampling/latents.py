"""Latents of seeds; walks between them and sums of them.

Walks and sums are those of the DCGAN paper (Radford, Metz and Chintala, 2016, 6.1 and 6.3.2).
"""

import itertools
import re
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from dcgan.errors import UserError
from dcgan.sampling.seeds import MAX_LENGTH, MAX_SEEDS, parse_seeds, shorten

# One token after the other: a sign, then a mean, a file or a seed. A file stands between spaces, for its name may have
# signs, and so that no part of the text is searched twice.
SIGN = re.compile(r'[+-]')
OPERAND = re.compile(r'mean\s*\(([^()]*)\)|(?<!\S)[^\s()]+\.(?i:npy)(?!\S)|\d+', re.ASCII)
SPACE = re.compile(r'\s*')


def seed_latents(seeds, z_dim):
    """Returns the latents of seeds, a tensor int64 [n], as a tensor float32 [n, z_dim], uniform in [-1, 1).

    Each depends on its seed alone, on every machine.
    """
    @tf.autograph.experimental.do_not_convert  # nothing to convert, and AutoGraph warns on Python 3.13
    def latent(seed):
        # The second number is the step in training, -3 for population statistics.
        return tf.random.stateless_uniform([z_dim], tf.stack([seed, -2]), -1.0, 1.0, alg='philox')

    return tf.map_fn(latent, seeds, fn_output_signature=tf.float32)


def walk(stations, frames):
    """Returns the latents of straight walks from each station to the next, float32 [n - 1, frames, z_dim].

    Args:
      stations: latents, float32 [n, z_dim], n at least 2.
      frames: latents of each walk, both ends included; at least 2.
    """
    place = np.linspace(0, 1, frames, dtype=np.float32)[:, np.newaxis]
    return np.stack([(1 - place) * start + place * end for start, end in itertools.pairwise(stations)])


class Term(NamedTuple):
    """A term of a sum: the mean of the latents of some seeds.

    Attributes:
      sign: 1 or -1.
      text: as it was written, without the sign; of a file, its name.
      seeds: int64 [n], n at least 1; or as ``parse_points`` returns them.
    """

    sign: int
    text: str
    seeds: np.ndarray


def parse_sum(text, max_seeds=MAX_SEEDS, parse=parse_seeds):
    """Returns the Terms of a sum such as 'mean(7,9,12) - mean(3,4) + 20', in time linear in its length.

    A seed stands for its latent, ``mean(...)`` for the mean over those that it names.

    Args:
      text: the sum.
      max_seeds: the most seeds that it may have.
      parse: reads the seeds of a term: ``parse_seeds``, which refuses files, or ``saved_latents.parse_points``.

    Raises:
      UserError: it is invalid, or has too many seeds.
    """
    if len(text) > MAX_LENGTH:
        raise UserError(f'the sum has {len(text):,} characters; the limit is {MAX_LENGTH:,}')
    terms, count = [], 0
    place = SPACE.match(text).end()
    while place < len(text) or not terms:
        start, sign = place, SIGN.match(text, place)
        place = SPACE.match(text, sign.end()).end() if sign else place
        operand = OPERAND.match(text, place)
        if not operand or (terms and not sign):
            spaces = ', with spaces around a file' if parse is not parse_seeds and '.npy' in text[start:] else ''
            raise UserError(f'invalid sum at {shorten(text[start:])}; expected e.g. "mean(7,9,12) - mean(3,4) + 20"'
                            f'{spaces}')
        seeds = parse(operand[0] if operand[1] is None else operand[1], max_seeds)
        name = operand[0] if operand[1] is not None else str(seeds[0])
        terms.append(Term(-1 if sign and sign[0] == '-' else 1, name, seeds))
        count += len(seeds)
        if count > max_seeds:
            raise UserError(f'the sum names more than {max_seeds:,} seeds')
        place = SPACE.match(text, operand.end()).end()
    return terms
