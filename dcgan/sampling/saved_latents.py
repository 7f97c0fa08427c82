"""Latents in files, usable in place of seeds: photo.npy,7."""

import io
import itertools
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dcgan.errors import UserError, reason_of
from dcgan.files import read_file, write_output
from dcgan.sampling.exported import DAMAGED
from dcgan.sampling.seeds import MAX_LENGTH, MAX_SEEDS, parse_seeds, shorten

SUFFIX = '.npy'
MAX_BYTES = 1 << 20  # of a file; a latent of the article has 528


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


def parse_points(text, max_points=MAX_SEEDS):
    """Returns the seeds and saved latents that a text names, in its order.

    It reads files, so it is for texts of the user, not of a visitor to the page.

    Args:
      text: as ``parse_seeds`` takes it, with files (.npy) where seeds may be: 'photo.npy,7'.
      max_points: the most that it may name.

    Returns:
      Int64 [n], seeds; or, with files among them, an array [n] of int and SavedLatent objects; n at least 1.

    Raises:
      UserError: it is invalid, names too many, or a file holds no latent.
    """
    parts, count = [], 0
    if len(text) <= MAX_LENGTH and SUFFIX in text.lower():
        for is_file, group in itertools.groupby(text.split(','), _is_file):
            names = list(group)
            parts.append(np.array([read_latent(name.strip()) for name in names], object) if is_file else
                         parse_seeds(','.join(names), max_points))
            count += len(parts[-1])
            if count > max_points:
                raise UserError(f'{shorten(text)} names more than {max_points:,} faces')
    return np.concatenate(parts) if parts else parse_seeds(text, max_points)


def read_latent(text):
    """Returns the SavedLatent in the file of a name.

    Raises:
      UserError: it cannot be read, or holds something else.
    """
    path = Path(os.path.expanduser(text))
    try:
        latent = np.lib.format.read_array(io.BytesIO(read_file(path, MAX_BYTES)), allow_pickle=False)
        if latent.ndim != 1 or latent.dtype != np.float32:
            raise ValueError('it is not a float32 array of one dimension')
        if not np.isfinite(latent).all():
            raise ValueError('it holds NaN or infinite values')
    except OSError as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}; sample.py --project saves a latent') from error
    except DAMAGED as error:
        reason = str(error).partition('\n')[0]
        raise UserError(f'{path} holds no latent: {reason}; expected a file that sample.py --project saved') from error
    return SavedLatent(path, latent)


def encode_latent(latent):
    """Returns the bytes of a file (.npy) with a latent, float32 [z_dim], that ``read_latent`` reads."""
    content = io.BytesIO()
    np.save(content, latent, allow_pickle=False)
    return content.getvalue()


def write_latent(path, latent):
    """Writes a latent, float32 [z_dim], to a file (.npy) that ``read_latent`` reads.

    Raises:
      UserError: it cannot be written.
    """
    write_output(path, encode_latent(latent), 'out')


def latents_of(points, latents, z_dim):
    """Returns the latents of points, as ``parse_points`` returns them, float32 [n, z_dim].

    Args:
      points: an array [n] of int and SavedLatent objects.
      latents: function of seeds, int64 [k], that returns their latents.
      z_dim: length of a latent.

    Raises:
      UserError: a saved one has another length.
    """
    found = np.empty([len(points), z_dim], np.float32)
    is_saved = np.array([isinstance(point, SavedLatent) for point in points])
    found[~is_saved] = latents(points[~is_saved].astype(np.int64))
    for place in np.flatnonzero(is_saved):
        saved = points[place]
        if len(saved.latent) != z_dim:
            raise UserError(f'{saved.path} holds {len(saved.latent)} numbers; this generator takes {z_dim}; project '
                            'the photo with this generator')
        found[place] = saved.latent
    return found


def title_of(point):
    """Returns a point in words: 'seed 7', or the name of a saved latent."""
    return str(point) if isinstance(point, SavedLatent) else f'seed {point}'


def _is_file(text):
    return text.strip().lower().endswith(SUFFIX)
