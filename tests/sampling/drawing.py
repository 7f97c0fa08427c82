"""What the tests of drawing share: the small run's measures, and sample.py as a function."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from dcgan.sampling.sample import sample

SIZE, Z_DIM = 32, 20
NUMBERS = {'batch_size': 128, 'num_images': None, 'seed': None, 'scale': 1, 'frames': 16, 'neighbours': None}
PATHS = 'model_dir', 'dataset_dir', 'cache_dir', 'project', 'out'
DEFAULTS = {**NUMBERS, 'model_dir': None, 'pretrained': None, 'checkpoint': 'latest', 'weights': 'auto',
            'dataset_dir': None, 'cache_dir': Path('cache'), 'batch_norm': 'population', 'out': None,
            'overwrite': False, 'seeds': None, 'grid': None, 'interpolate': None, 'arithmetic': None,
            'project': None, 'film': None}  # of sample.py


def draw_by(*flags):
    """Does what the command does, in this process."""
    given = dict(flag.removeprefix('--').split('=', 1) for flag in flags)
    values = {name: int(value) if name in NUMBERS else Path(value) if name in PATHS else value
              for name, value in given.items()}
    sample(SimpleNamespace(**{**DEFAULTS, **values}), set(given))


def difference(drawn, expected):
    """Returns the largest difference of two images in gray levels; 1 is rounding."""
    return np.abs(np.asarray(drawn).astype(int) - expected).max()
