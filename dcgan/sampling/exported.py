"""A generator in one file: weights, population statistics and how it was made, as an uncompressed .npz."""

import hashlib
import io
import json
import tokenize
import zipfile
from pathlib import Path

import numpy as np

from dcgan.errors import UserError, reason_of
from dcgan.runs.settings import parse_record

PRETRAINED = Path(__file__).parents[2] / 'data' / 'demo_generator.npz'  # its card is data/demo_generator.md

# What NumPy, zipfile and json raise for a file that is damaged or of another kind.
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError, NotImplementedError, MemoryError,
           RecursionError, SyntaxError, OverflowError, tokenize.TokenError, zipfile.BadZipFile)


def export_npz(checkpoint, statistics, config):
    """Returns the bytes of the file.

    Args:
      checkpoint: a GeneratorCheckpoint.
      statistics: its population statistics, {name of a moving average: float32 array}.
      config: the settings of its run; {} if they are not known.
    """
    values = {name: value for name, value in checkpoint.variables.items() if not is_statistic(name)} | statistics
    # Where the images were, and the machine, are of no use elsewhere.
    config = {name: value for name, value in config.items()
              if name != 'platform' and (name != 'dataset_dir' or value is None)}
    about = {'weights': checkpoint.weights, 'step': checkpoint.step, 'config': config, 'sha256': digest_of(values)}
    content = io.BytesIO()
    np.savez(content, about=np.array(json.dumps(about)), **values)
    return content.getvalue()


def read_exported(path):
    """Reads such a file; its checksum is verified.

    Args:
      path: a Path.

    Returns:
      What it says of itself, {'weights': 'trained' or 'ema', 'step': int or None, 'config': dict, 'sha256'}, and
      {name: float32 array} of variables and statistics.

    Raises:
      UserError: it cannot be read, or is damaged.
    """
    remedy = 'restore it (git checkout -- data)' if path == PRETRAINED else 'export it again'
    try:
        with zipfile.ZipFile(path) as archive:  # what is not compressed cannot unpack to more than the file holds
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError('it is compressed')
        with np.load(path) as arrays:
            values = {name: arrays[name] for name in arrays}
        about = json.loads(str(values.pop('about')))
        if any(value.dtype != np.float32 for value in values.values()):
            raise ValueError('a variable is not float32')
        if about['sha256'] != digest_of(values):
            raise ValueError('its checksum does not match')
        if about['weights'] not in ('trained', 'ema') or not (about['step'] is None or type(about['step']) is int):
            raise ValueError('its description is invalid')
        about['config'] = parse_record(about['config'])
    except OSError as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}; {remedy}') from error
    except DAMAGED as error:
        raise UserError(f'{path} is damaged: {str(error) or type(error).__name__}; {remedy}') from error
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
