"""Latents, named by seeds or files, 7,100-163,photo.npy; walks between them and sums of them.

Walks and sums are those of the DCGAN paper (Radford, Metz and Chintala, 2016, 6.1 and 6.3.2).
"""

import io
import itertools
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from dcgan.errors import UserError, reason_of
from dcgan.files import require_regular

MAX_SEEDS = 10_000_000  # at once
MAX_SEED = 2**63 - 1
SUFFIX = '.npy'

# A term of a sum: a sign, then a mean, a file or a seed. A file stands between spaces, for its name may have signs, and
# so that no part of the text is searched twice.
TERM = re.compile(r' ?([+-]?) ?(mean ?\(([^()]*)\)|(?<!\S)[^\s()]+\.(?i:npy)(?!\S)|\d+)', re.ASCII)


def seed_latents(seeds, z_dim):
    """Returns the latents of seeds, a tensor int64 [n], as a tensor float32 [n, z_dim], uniform in [-1, 1).

    Each depends on its seed alone, on every machine.
    """
    @tf.autograph.experimental.do_not_convert  # nothing to convert, and AutoGraph warns on Python 3.13
    def latent(seed):
        # The second number is the step in training, -3 for population statistics.
        return tf.random.stateless_uniform([z_dim], tf.stack([seed, -2]), -1.0, 1.0, alg='philox')

    return tf.map_fn(latent, seeds, fn_output_signature=tf.float32)


@dataclass(frozen=True)
class SavedLatent:
    """A latent from a file; as text, the name of the file without its suffix.

    Attributes:
      path: of the file.
      latent: float32 [z_dim], finite.
    """

    path: Path
    latent: np.ndarray = field(compare=False)

    def __str__(self):
        return self.path.stem


def parse_seeds(text, max_seeds=MAX_SEEDS, read_files=False):
    """Returns the seeds that a text names, in its order.

    Args:
      text: whole numbers from 0 and ranges of them, both ends included, separated by commas: '7,100-163'.
      max_seeds: how many it may name.
      read_files: whether files of latents (.npy) may stand for seeds: for texts of the user, not of a visitor to the
        page.

    Returns:
      Int64 [n]; or, with files among them, an array [n] of int and SavedLatent objects; n at least 1.

    Raises:
      UserError: it is invalid, names too many, or a file holds no latent.
    """
    parts, count = [], 0
    for part in map(str.strip, text.split(',')):
        is_file = read_files and part.lower().endswith(SUFFIX)
        first, last = (0, 0) if is_file else _parse_range(part)
        count += last - first + 1
        if count > max_seeds:
            raise UserError(f'{_shorten(text)} names more than {max_seeds:,} seeds')
        parts.append(np.array([read_latent(part)], object) if is_file else
                     first + np.arange(last - first + 1, dtype=np.int64))
    return np.concatenate(parts)


def _parse_range(text):
    """Returns the first and the last seed of '7' or '100-163'."""
    match = re.fullmatch(r'(\d{1,19})(?:\s*-\s*(\d{1,19}))?', text, re.ASCII)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
    if not first <= last <= MAX_SEED:
        raise UserError(f'invalid seed {_shorten(text)}; expected e.g. 7,100-163')
    return first, last


def format_seeds(seeds):
    """Returns seeds as ``parse_seeds`` reads them, consecutive ones as a range."""
    seeds = np.asarray(seeds)
    runs = np.split(seeds, np.flatnonzero(np.diff(seeds) != 1) + 1)
    return ','.join(f'{run[0]}' if len(run) == 1 else f'{run[0]}-{run[-1]}' for run in runs)


def title_of(seed):
    """Returns a seed in words: 'seed 7', or the name of a saved latent."""
    return str(seed) if isinstance(seed, SavedLatent) else f'seed {seed}'


def read_latent(text):
    """Returns the SavedLatent in the file of a name.

    Raises:
      UserError: it cannot be read, or holds something else.
    """
    path = Path(os.path.expanduser(text))
    require_regular([path])
    try:
        latent = np.load(path)
        if latent.ndim != 1 or latent.dtype != np.float32 or not np.isfinite(latent).all():
            raise ValueError('it is not a float32 array of one dimension with finite values')
    except Exception as error:  # NumPy raises nearly anything for another file
        raise UserError(f'cannot read {path}: {reason_of(error)}; expected a latent by sample.py --project') from error
    return SavedLatent(path, latent)


def encode_latent(latent):
    """Returns the bytes of a file (.npy) with a latent, float32 [z_dim], that ``read_latent`` reads."""
    content = io.BytesIO()
    np.save(content, latent, allow_pickle=False)
    return content.getvalue()


def walk(stations, frames):
    """Returns the latents of straight walks from each station to the next, float32 [n - 1, frames, z_dim].

    Args:
      stations: latents, float32 [n, z_dim], n at least 2.
      frames: latents of each walk, both ends included; at least 2.
    """
    fraction = np.linspace(0, 1, frames, dtype=np.float32)[:, np.newaxis]
    return np.stack([(1 - fraction) * start + fraction * end for start, end in itertools.pairwise(stations)])


class Term(NamedTuple):
    """A term of a sum: the mean of the latents of some seeds.

    Attributes:
      sign: 1 or -1.
      text: as it was written, without the sign; of a file, its name.
      seeds: as ``parse_seeds`` returns them.
    """

    sign: int
    text: str
    seeds: np.ndarray


def parse_sum(text, max_seeds=MAX_SEEDS, read_files=False):
    """Returns the Terms of a sum such as 'mean(7,9,12) - mean(3,4) + 20', in time linear in its length.

    A seed stands for its latent, ``mean(...)`` for the mean over those that it names.

    Args:
      text: the sum.
      max_seeds, read_files: as for ``parse_seeds``.

    Raises:
      UserError: it is invalid, or has too many seeds.
    """
    text = ' '.join(text.split())
    terms, count, index = [], 0, 0
    while index < len(text) or not terms:
        match = TERM.match(text, index)
        if not match or (terms and not match[1]):
            spaces = ', with spaces around a file' if read_files and SUFFIX in text[index:] else ''
            raise UserError(f'invalid sum at {_shorten(text[index:].strip())}; expected e.g. "mean(7,9,12) - mean(3,4) '
                            f'+ 20"{spaces}')
        sign, operand, members = match.groups()
        seeds = parse_seeds(operand if members is None else members, max_seeds, read_files)
        terms.append(Term(-1 if sign == '-' else 1, str(seeds[0]) if members is None else operand, seeds))
        count, index = count + len(seeds), match.end()
        if count > max_seeds:
            raise UserError(f'the sum names more than {max_seeds:,} seeds')
    return terms


def _shorten(text):
    """Returns a text in quotes, cut if it is long."""
    return repr(text if len(text) <= 60 else f'{text[:57]}...')
