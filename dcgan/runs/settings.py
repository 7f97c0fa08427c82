"""The settings of a run, each declared once: flags, defaults, help and the check of config.json follow from here."""

import math
import sys
from pathlib import Path
from typing import Annotated, NamedTuple, get_args, get_type_hints

from absl import flags

from data.crop import CROPS
from data.order import steps_per_epoch
from dcgan.files import PathParser

MAX_IMAGE_SIZE = 1024  # pixels
MAX_COUNT = 10 ** 9
PRECISIONS = ('float32', 'bfloat16', 'float16')
flags.disclaim_key_flags()  # ``define_flags`` defines those of its caller

PRESETS = {
    'article': {'g_depths': [1024, 512, 256, 128], 'd_depths': [64, 128, 256, 512], 'batch_size': 128, 'epochs': 5,
                'ema_decay': None},
    'demo': {'g_depths': [256, 128, 64, 32], 'd_depths': [32, 64, 128, 256], 'batch_size': 64, 'epochs': 60,
             'ema_decay': 0.999},
}


class DepthsParser(flags.ArgumentParser):
    """Parses the channels of four layers: 64,32,16,8, or a list."""

    syntactic_help = 'four whole numbers above 0, e.g. 64,32,16,8'

    def parse(self, argument):
        """Returns a list of int."""
        parts = argument.split(',') if isinstance(argument, str) else argument
        layer = flags.IntegerParser(1, 1 << 20)
        if not isinstance(parts, list) or len(parts) != 4:
            raise ValueError(f'expected {self.syntactic_help}')
        try:
            return [layer.parse(part) for part in parts]
        except (TypeError, ValueError) as error:
            raise ValueError(f'expected {self.syntactic_help}') from error


class SizeParser(flags.IntegerParser):
    """Parses the height and width of images."""

    def parse(self, argument):
        """Returns an int."""
        size = super().parse(argument)
        if size % 16:
            raise ValueError('expected a multiple of 16')
        return size


class FiniteParser(flags.FloatParser):
    """Parses a number that is not NaN or infinite."""

    def parse(self, argument):
        """Returns a float."""
        if not math.isfinite(self.convert(argument)):
            raise ValueError('expected a finite number')
        return super().parse(argument)


class Setting(NamedTuple):
    """What a field of Config declares.

    Attributes:
      parser: an absl parser, of the flag and of the value in config.json.
      help: of the flag.
      default: of the flag; None also where the preset decides.
      may_change: whether it may change when the run resumes.
    """

    parser: flags.ArgumentParser
    help: str
    default: object = None
    may_change: bool = False


COUNT, BOOLEAN = flags.IntegerParser(1, MAX_COUNT), flags.BooleanParser()


class Config(NamedTuple):
    """The settings of a run; each is the flag of that name. Older runs lack those with a default."""

    dataset_dir: Annotated[Path | None, Setting(
        PathParser(), 'Images: a folder, searched at any depth, a .zip or .tar, or .parquet files. '
        'Default: the embedded faces.', may_change=True)]  # config.json knows the images by number and checksum
    image_size: Annotated[int, Setting(
        SizeParser(16, MAX_IMAGE_SIZE), 'Height and width of the images in pixels, a multiple of 16.', 64)]
    crop: Annotated[str, Setting(
        flags.EnumParser(['auto', *CROPS]), 'Part of each image to keep. auto: center108 of images of the size of '
        'aligned CelebA, the largest centered square of others.', 'auto')]
    batch_size: Annotated[int, Setting(COUNT, "Images per step, on each worker. Default: the preset's.")]
    z_dim: Annotated[int, Setting(flags.IntegerParser(1, 10 ** 6), 'Length of a latent.', 100)]
    g_depths: Annotated[list[int], Setting(
        DepthsParser(), "Channels of the generator's four hidden layers. Default: the preset's.")]
    d_depths: Annotated[list[int], Setting(
        DepthsParser(), "Channels of the discriminator's four layers. Default: the preset's.")]
    epochs: Annotated[int, Setting(COUNT, "Passes over the images. Default: the preset's.", may_change=True)]
    max_steps: Annotated[int | None, Setting(
        COUNT, 'Stop after this many steps, if that comes before --epochs.', may_change=True)]
    learning_rate: Annotated[float, Setting(
        FiniteParser(1e-12), 'Learning rate of both Adam optimizers.', 0.0002)]
    beta1: Annotated[float, Setting(FiniteParser(0.0, 0.9999), 'beta1 of both Adam optimizers.', 0.5)]
    seed: Annotated[int, Setting(flags.IntegerParser(0, 2 ** 31 - 1), 'Determines the initial weights, the order of '
                                 'the images and all latents.', 0)]
    precision: Annotated[str, Setting(
        flags.EnumParser(PRECISIONS), 'Precision of matrix products and convolutions: bfloat16 for CPUs, float16 for '
        'GPUs.', 'float32')]
    deterministic: Annotated[bool, Setting(
        BOOLEAN, 'Use deterministic ops on a GPU. On a CPU, all ops are deterministic.', False)]
    sample_steps: Annotated[int | None, Setting(COUNT, 'Also draw a grid every N steps.', may_change=True)]
    save_steps: Annotated[int, Setting(
        COUNT, "Save a checkpoint every N steps, in addition to steps 0, 3164 and 7910 (the article's moments) and the "
        'end of epochs 1, 2, 5, 10, 20, 30, ...', 250, may_change=True)]
    log_steps: Annotated[int, Setting(COUNT, 'Log losses and speed every N steps.', 10, may_change=True)]
    d_learning_rate: Annotated[float | None, Setting(
        FiniteParser(1e-12), "Learning rate of the discriminator's optimizer. Default: --learning_rate.")] = None
    ema_decay: Annotated[float | None, Setting(
        FiniteParser(0.0, 0.999999), "Decay of an exponential moving average of the generator's weights, from which "
        "samples are drawn, e.g. 0.999; 0 for none. Default: the preset's.")] = None
    xla: Annotated[bool, Setting(BOOLEAN, 'Compile the graph with XLA, on a GPU.', False)] = False
    mirror: Annotated[bool, Setting(
        BOOLEAN, 'Mirror each image in about half of the epochs, at random.', False)] = False
    init_checkpoint: Annotated[Path | None, Setting(
        PathParser(), 'Start from the weights of this checkpoint or run, of this project or of '
        'TensorFlow 1; the optimizers start fresh.')] = None
    image_column: Annotated[str | None, Setting(
        flags.ArgumentParser(), 'Column of .parquet files that holds the images. Default: one with a usual name, or '
        'the only one.', may_change=True)] = None
    evaluate_steps: Annotated[int | None, Setting(
        COUNT, 'Measure swd2k and msssim2k every N steps, and keep the checkpoint with the lowest swd2k, for sample.py '
        '--checkpoint=best. Training pauses meanwhile.', may_change=True)] = None

    @property
    def s_size(self):
        """Height and width of the generator's first layer, in pixels."""
        return self.image_size // 16

    def steps(self, images, workers=1):
        """Returns the number of steps of an epoch and of the whole run, for a number of images and workers."""
        epoch_steps = steps_per_epoch(images, self.batch_size * workers)
        return epoch_steps, min(self.epochs * epoch_steps, self.max_steps or sys.maxsize)


HINTS = get_type_hints(Config, include_extras=True)
SETTINGS = {name: hint.__metadata__[0] for name, hint in HINTS.items()}
OPTIONAL = {name for name, hint in HINTS.items() if type(None) in get_args(hint.__origin__)}
DEFAULTS = {**Config._field_defaults, 'workers': 1}  # for what earlier versions did not record
PARSERS = {'images': COUNT, 'images_crc32': flags.IntegerParser(0, 0xffffffff), 'workers': COUNT,
           **{name: setting.parser for name, setting in SETTINGS.items()}}  # of what config.json holds
MAY_DIFFER = 'dataset_dir', 'platform'  # between workers
MAY_CHANGE = {*MAY_DIFFER, 'workers', *(name for name, setting in SETTINGS.items() if setting.may_change)}  # on resume


def define_flags():
    """Defines the flag of each setting, and --preset, as flags of the command."""
    flags.DEFINE_enum('preset', None, PRESETS, 'Defaults of --g_depths, --d_depths, --batch_size, --epochs and '
                      '--ema_decay. article: 1024,512,256,128; 64,128,256,512; 128; 5; none. demo: 256,128,64,32; '
                      '32,64,128,256; 64; 60; 0.999. Default: article with --dataset_dir, demo without.')
    for name, (parser, text, default, _) in SETTINGS.items():
        if parser is BOOLEAN:
            flags.DEFINE_bool(name, default, text)
        elif isinstance(parser, flags.EnumParser):
            flags.DEFINE_enum(name, default, parser.enum_values, text)
        else:
            flags.DEFINE(parser, name, default, text)


def config_of(values, recorded):
    """Returns the Config of a run.

    Args:
      values: the absl FlagValues of ``define_flags``, parsed.
      recorded: config.json of the run to resume, or {}: what is not given stays as it was. Only max_steps holds for
        a single start.
    """
    given = {name: values[name].value for name in Config._fields if values[name].present}
    given |= {name: value.resolve() for name, value in given.items() if isinstance(value, Path)}
    preset = values.preset or ('demo' if given.get('dataset_dir') is None else 'article')
    config = {name: setting.default for name, setting in SETTINGS.items()} | PRESETS[preset]
    config |= {name: value for name, value in recorded.items() if name in Config._fields and name != 'max_steps'}
    config |= (PRESETS[preset] if values.preset else {}) | given
    return Config(**config | {'ema_decay': config['ema_decay'] or None})


def parse_record(record):
    """Returns the settings of a config.json, each checked as its flag is.

    Raises:
      ValueError: it holds something else than settings, or one is invalid.
    """
    if not isinstance(record, dict):
        raise ValueError(f'expected settings, found {record!r:.40}')
    parsed = dict(record)
    for name, parser in PARSERS.items():
        if name in record and not (record[name] is None and name in OPTIONAL):
            try:
                parsed[name] = parser.parse(record[name])
            except (TypeError, ValueError, OverflowError) as error:
                expected = ' or '.join(getattr(parser, 'enum_values', [])) or parser.syntactic_help or 'text'
                raise ValueError(f'{name} is {record[name]!r:.40}; expected {expected}') from error
    platform = record.get('platform', {})
    if not isinstance(platform, dict) or not all(isinstance(value, str | int | None) for value in platform.values()):
        raise ValueError(f'platform is {platform!r:.40}; expected texts and numbers')
    return parsed


def describe_preset(config):
    """Returns in a line which preset holds, which flags differ from it, and how to get the other one."""
    settings, texts = config._asdict(), {'article': "the article's own", 'demo': "a quarter of the article's width"}
    changed = {name: [f'--{key}' for key, value in preset.items() if settings[key] != value]
               for name, preset in PRESETS.items()}
    name, other = sorted(changed, key=lambda name: len(changed[name]))
    but_for = f', but for {", ".join(changed[name])}' if changed[name] else ''
    return f'{name}, {texts[name]}{but_for} (--preset={other}: {texts[other]})'
