"""The settings of a run: from flags, a preset and, on resume, config.json."""

import math
import sys
from typing import NamedTuple

from data.order import steps_per_epoch

MAX_IMAGE_SIZE = 1024  # pixels
PRECISIONS = ('float32', 'bfloat16', 'float16')
PRESETS = {
    'article': {'g_depths': [1024, 512, 256, 128], 'd_depths': [64, 128, 256, 512], 'batch_size': 128, 'epochs': 5,
                'ema_decay': None},
    'demo': {'g_depths': [256, 128, 64, 32], 'd_depths': [32, 64, 128, 256], 'batch_size': 64, 'epochs': 60,
             'ema_decay': 0.999},
}
# Images a second on two AVX2 cores in float32, measured, to estimate how long a preset takes.
IMAGES_PER_SECOND = {'article': 26, 'demo': 165}

# Where the images are may change: config.json knows them by their number and checksum.
MAY_DIFFER = 'dataset_dir', 'platform'  # between workers
MAY_CHANGE = (*MAY_DIFFER, 'epochs', 'max_steps', 'sample_steps', 'save_steps', 'log_steps', 'evaluate_steps',
              'workers')  # on resume


_NUMBER, _OPTIONAL = (int, float), type(None)
_TYPES = {
    'dataset_dir': (str, _OPTIONAL), 'image_size': int, 'crop': str, 'batch_size': int, 'z_dim': int, 'g_depths': list,
    'd_depths': list, 'epochs': int, 'max_steps': (int, _OPTIONAL), 'learning_rate': _NUMBER, 'beta1': _NUMBER,
    'seed': int, 'precision': str, 'deterministic': bool, 'sample_steps': (int, _OPTIONAL), 'save_steps': int,
    'log_steps': int, 'd_learning_rate': (*_NUMBER, _OPTIONAL), 'ema_decay': (*_NUMBER, _OPTIONAL), 'xla': bool,
    'mirror': bool, 'init_checkpoint': (str, _OPTIONAL), 'evaluate_steps': (int, _OPTIONAL),
    'images': int, 'images_crc32': int, 'workers': int, 'platform': dict,
}
_POSITIVE = ('image_size', 'batch_size', 'z_dim', 'epochs', 'max_steps', 'sample_steps', 'save_steps', 'log_steps',
             'evaluate_steps', 'images', 'workers')


class Config(NamedTuple):
    """The settings of a run; each is the flag of that name. Older runs lack those with a default."""

    dataset_dir: str | None
    image_size: int
    crop: str
    batch_size: int
    z_dim: int
    g_depths: list[int]
    d_depths: list[int]
    epochs: int
    max_steps: int | None
    learning_rate: float
    beta1: float
    seed: int
    precision: str
    deterministic: bool
    sample_steps: int | None
    save_steps: int
    log_steps: int
    d_learning_rate: float | None = None
    ema_decay: float | None = None
    xla: bool = False
    mirror: bool = False
    init_checkpoint: str | None = None
    evaluate_steps: int | None = None

    @property
    def s_size(self):
        """Height and width of the generator's first layer, in pixels."""
        return self.image_size // 16

    def steps(self, images, workers=1):
        """Returns the number of steps of an epoch and of the whole run, for a number of images and workers."""
        epoch_steps = steps_per_epoch(images, self.batch_size * workers)
        return epoch_steps, min(self.epochs * epoch_steps, self.max_steps or sys.maxsize)


DEFAULTS = {**Config._field_defaults, 'workers': 1}  # for what earlier versions did not record


def resolve(given, preset, defaults, recorded):
    """Returns the Config of a run.

    Args:
      given: {name: value} of the flags that were given.
      preset: a name of ``PRESETS``; None is 'article' with a data set and 'demo' without, unless the run resumes.
      defaults: {name: value} of all flags.
      recorded: config.json of the run to resume, or {}: what is not given stays as it was. Only max_steps holds for
        a single start.
    """
    chosen = preset or ('demo' if given.get('dataset_dir') is None else 'article')
    config = {name: defaults[name] for name in Config._fields} | PRESETS[chosen]
    config |= {name: value for name, value in recorded.items() if name in Config._fields and name != 'max_steps'}
    if preset is not None:
        config |= PRESETS[preset]
    return Config(**config | given)


def problem_of(record):
    """Returns in words what is wrong with the settings of a config.json, a dict; None if nothing is."""
    for name, value in record.items():
        types = _TYPES.get(name, object)
        if not isinstance(value, types) or (isinstance(value, bool) and types not in (bool, object)):
            return f'{name} is {value!r:.40}'
        if name in _POSITIVE and value is not None and not 0 < value < 1 << 62:
            return f'{name} is {value!r:.40}; expected a number above 0'
        if isinstance(value, float) and not math.isfinite(value):
            return f'{name} is {value}'
        if name in ('g_depths', 'd_depths') and not (
                len(value) == 4 and all(type(depth) is int and 0 < depth < 1 << 20 for depth in value)):
            return f'{name} is {value!r:.40}; expected four whole numbers above 0'
    if record.get('precision', PRECISIONS[0]) not in PRECISIONS:
        return f'precision is {record["precision"]!r:.40}; expected one of {", ".join(PRECISIONS)}'
    if not all(isinstance(value, str | int | None) for value in record.get('platform', {}).values()):
        return 'platform holds lists or objects'
    return None


def describe_preset(config, images):
    """Returns in a line which preset holds, how long it takes, and how to get the other one."""
    settings = config._asdict()
    names = [name for name, preset in PRESETS.items() if config.image_size == 64
             and all(settings[key] == preset[key] for key in ('g_depths', 'd_depths'))]
    if not names:
        return 'none; the model has its own size'
    name, preset = names[0], PRESETS[names[0]]
    changed = ', '.join(f'--{key}' for key, value in preset.items() if settings[key] != value)
    _, steps = config.steps(images)
    duration = _duration(steps * config.batch_size / IMAGES_PER_SECOND[name])
    model = {'article': 'article, its model and settings', 'demo': "demo, a quarter of the article's width"}[name]
    other = {'article': 'demo: faces within minutes', 'demo': "article: the article's own"}[name]
    return f'{model}{f" but for {changed}" if changed else ""}; about {duration} on two cores (--preset={other})'


def _duration(seconds):
    minutes = max(1, math.ceil(seconds / 60 - 0.5))
    if minutes < 90:
        return f'{minutes} minute{"s" if minutes > 1 else ""}'
    return f'{seconds / 3600:.0f} hours'
