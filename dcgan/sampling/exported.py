"""A generator in one file: weights, population statistics and how it was made, as an uncompressed .npz."""

import hashlib
import json
from pathlib import Path

import numpy as np

from dcgan.errors import UserError, reason_of
from dcgan.files import require_regular
from dcgan.runs.settings import parse_record
from dcgan.sampling import PRETRAINED


def pretrained(name=PRETRAINED[0]):
    """Returns the Path of the pretrained generator of a name; its card is beside it, NAME_generator.md."""
    return Path(__file__).parents[2] / 'data' / f'{name}_generator.npz'


def write_exported(path, checkpoint, statistics, config):
    """Writes such a file.

    Args:
      path: a Path.
      checkpoint: a GeneratorCheckpoint.
      statistics: its population statistics, {name of a moving average: float32 array}.
      config: the settings of its run; {} if they are not known.
    """
    values = {name: value for name, value in checkpoint.variables.items() if not is_statistic(name)} | statistics
    # Where the images were, and the machine, are of no use elsewhere.
    config = {name: value for name, value in config.items()
              if name != 'platform' and (name != 'dataset_dir' or value is None)}
    about = {'weights': checkpoint.weights, 'step': checkpoint.step, 'config': config, 'sha256': digest_of(values)}
    with path.open('wb') as file:
        np.savez(file, about=np.array(json.dumps(about)), **values)


def read_exported(path):
    """Reads such a file.

    Args:
      path: a Path.

    Returns:
      What it says of itself, {'weights': 'trained' or 'ema', 'step': int or None, 'config': dict, 'sha256': str}, and
      {name: float32 array} of variables and statistics.

    Raises:
      UserError: it cannot be read, or is damaged.
    """
    remedy = 'restore it (git checkout -- data)' if path.parent == pretrained().parent else 'export it again'
    require_regular([path])
    try:
        with np.load(path) as arrays:
            values = dict(arrays)
        about = json.loads(str(values.pop('about')))
        values = {name: np.float32(value) for name, value in values.items()}
        about['config'] = parse_record(about['config'])
    except Exception as error:  # NumPy raises nearly anything for a damaged file
        raise UserError(f'cannot read {path}: {reason_of(error)}; {remedy}') from error
    return about, values


def is_statistic(name):
    """Returns whether a variable is a mean or variance of batch normalization."""
    return name.endswith(('/moving_mean', '/moving_variance'))


def digest_of(values):
    """Returns the SHA-256 of {name: array}, in hexadecimal."""
    digest = hashlib.sha256()
    for name, value in sorted(values.items()):
        digest.update(f'{name} {value.shape}'.encode())
        digest.update(np.ascontiguousarray(value))
    return digest.hexdigest()
