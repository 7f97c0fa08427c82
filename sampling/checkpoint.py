"""Checkpoints to draw from: which are meant, and the generator that each holds."""

import hashlib
import io
import json
import math
import os
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

from runtime.checkpoints import UNREADABLE, Checkpoints
from runtime.errors import RunError, reason_of
from runtime.run_directory import WILDCARDS, RunDirectory

OF_GENERATOR = re.compile(r'g/(reshape|deconv\d+)/(dense|conv2d_transpose|batch_normalization)/'
                          r'(kernel|bias|gamma|beta|moving_mean|moving_variance)')
WEIGHTS = ('auto', 'trained', 'ema')
WEIGHTS_HELP = ('Which weights draw. ema: their moving averages, where train.py kept them (--ema_decay). trained: as '
                'training left them. auto: ema where the checkpoint has them, else trained.')
PRETRAINED = Path(__file__).parent.parent / 'data' / 'demo_generator.npz'  # drawn from where no run is named
STATISTICS = re.compile(r'g/.*/moving_(mean|variance)')
AVERAGED = '/ExponentialMovingAverage'  # after the name of a variable, that of its average
FILES = re.compile(r'\.(index|meta|data-\d+-of-\d+)$')  # of a checkpoint, of which TensorFlow names but the stem


class Trained(NamedTuple):
    """A generator as a checkpoint holds it; what it is made of is read off its variables.

    Attributes:
      path: the checkpoint, as TensorFlow calls it.
      weights: {name: float32 array} of the generator's variables, moving averages of batch normalisation included where
        they were saved.
      z_dim: length of a latent.
      s_size: height and width of the first layer.
      depths: channels of the hidden layers.
      kind: 'trained', as training left them, or 'ema', their moving averages over the steps.
      step: updates done; None where that is not known.
      statistics: population statistics that came with the weights, {name of a moving average: float32 array}, or {}.
    """

    path: Path
    weights: dict[str, np.ndarray]
    z_dim: int
    s_size: int
    depths: list[int]
    kind: str
    step: int | None
    statistics: dict[str, np.ndarray]

    @property
    def size(self):
        """Height and width of its images, in pixels."""
        return self.s_size * 2 ** len(self.depths)

    @property
    def source(self):
        """The run directory, or the file of an exported generator: what ``reals.config_of`` takes."""
        return self.path if self.path.suffix == '.npz' else self.path.parent

    @property
    def digest(self):
        """Tells these weights from all others. The moving averages do not count."""
        return _digest({name: value for name, value in self.weights.items() if '/moving_' not in name})


def open_run(model_dir):
    """Returns the Path of a run directory.

    Raises:
      RunError: it does not exist, or TensorFlow would not find checkpoints in it.
    """
    path = RunDirectory(model_dir).path
    if not model_dir or not os.path.isdir(path):
        raise RunError(f'the run directory {model_dir!r} {"is a file" if os.path.isfile(path) else "does not exist"}'
                       f'{_runs_in(path.parent)}')
    return path


def find(model_dir, wanted):
    """Finds the checkpoints that are meant.

    Args:
      model_dir: the run directory, a Path, or None, whose latest is the pretrained generator.
      wanted: 'latest', the newest that can be read; 'all'; a step, in digits; or the path of a checkpoint, absolute, or
        from here or from ``model_dir``.

    Returns:
      Their paths, one at least, in the order of their steps. Those that 'latest' passes over are told.

    Raises:
      RunError: there is no such checkpoint.
    """
    if wanted not in ('latest', 'all') and not wanted.isdecimal():
        return [_path_of(model_dir, wanted)]
    if model_dir is None and wanted == 'latest':
        return [PRETRAINED]
    if model_dir is None:
        raise RunError(f'--checkpoint={wanted} is looked for in a run: --model_dir=DIR names its directory'
                       f'{_runs_in(Path("runs"))}')
    checkpoints = Checkpoints(RunDirectory(model_dir))
    steps = checkpoints.steps()
    if not steps:
        others = _checkpoints_in(model_dir)
        raise RunError(f'{model_dir} holds no checkpoint model.ckpt-N' + (
            f', but {", ".join(others)}; --checkpoint={model_dir / others[0]} draws from that' if others else
            f'; python train.py --model_dir={model_dir} makes them{_runs_in(model_dir)}'))
    if wanted.isdecimal():
        if int(wanted) not in steps:
            raise RunError(f'{model_dir} holds no checkpoint of step {int(wanted)}; there are those of '
                           f'{", ".join(map(str, steps))}')
        return [checkpoints.path(int(wanted))]
    paths = [checkpoints.path(step) for step in steps]
    return paths if wanted == 'all' else [next(read_all(reversed(paths))).path]


def read_all(paths, kind='trained'):
    """Reads checkpoints one after the other, as ``read`` does; passes over those that cannot be read, and says so.

    Raises:
      RunError: there is none that can.
    """
    count = 0
    for path in paths:
        try:
            trained = read(path, kind)
        except RunError as error:
            tqdm.write(f'warning     {error}; it is passed over')  # a bar may be there
            continue
        count += 1
        yield trained
    if not count:
        raise RunError('there is no checkpoint that can be drawn from')


def read(path, kind='trained'):
    """Reads the generator that a checkpoint holds, as this project or TensorFlow 1 wrote it.

    Args:
      path: a Path, as TensorFlow calls it.
      kind: of ``WEIGHTS``.

    Raises:
      RunError: it cannot be read, or holds no generator of the article, or none of that kind.
    """
    if path.suffix == '.npz':
        return _read_exported(path, kind)
    if not set(str(path)).isdisjoint(WILDCARDS):
        raise RunError(f'{path} has one of {WILDCARDS} in its name, which TensorFlow takes for a pattern; rename it')
    try:
        reader = tf.train.load_checkpoint(str(path))
        names = reader.get_variable_to_shape_map()
        if kind == 'auto':
            kind = 'ema' if any(OF_GENERATOR.fullmatch(name.removesuffix(AVERAGED)) for name in names
                                if name.endswith(AVERAGED)) else 'trained'
        suffix = AVERAGED if kind == 'ema' else ''
        weights = {name.removesuffix(suffix): reader.get_tensor(name) for name in names
                   if name.endswith(suffix) and OF_GENERATOR.fullmatch(name.removesuffix(suffix))}
    except UNREADABLE as error:
        raise RunError(f'{path} cannot be read: {reason_of(error)}') from error
    if kind == 'ema' and not weights:
        raise RunError(f'{path} holds no averaged weights, which train.py keeps by --ema_decay; --weights=trained '
                       'takes those that were trained')
    _require_finite(path, weights)
    return Trained(path, weights, *_architecture(path, weights), kind, step_of(path), {})


def exported(trained, statistics, config):
    """Returns a generator as the bytes of one file, which ``read`` takes: weights, statistics, how it was made.

    Args:
      trained: a Trained.
      statistics: its population statistics, {name of a moving average: float32 array}.
      config: the settings of its run; {} where they are not known.
    """
    values = {**{name: value for name, value in trained.weights.items() if not STATISTICS.fullmatch(name)},
              **statistics}
    # Where the images lay, and on what it ran, is of no use elsewhere.
    config = {name: value for name, value in config.items()
              if name != 'platform' and (name != 'dataset_dir' or value is None)}
    about = {'weights': trained.kind, 'step': trained.step, 'config': config, 'sha256': _digest(values)}
    content = io.BytesIO()
    np.savez(content, about=np.array(json.dumps(about)), **values)
    return content.getvalue()


def read_about(path):
    """Returns what an exported generator says of itself: {'weights', 'step', 'config', 'sha256'}.

    Raises:
      RunError: the file cannot be read, or is damaged.
    """
    return _load_exported(path)[0]


def _read_exported(path, kind):
    about, values = _load_exported(path)
    if kind not in ('auto', about['weights']):
        raise RunError(f'{path} holds {about["weights"]} weights only; use --weights={about["weights"]}')
    _require_finite(path, values)
    statistics = {name: value for name, value in values.items() if STATISTICS.fullmatch(name)}
    weights = {name: value for name, value in values.items() if name not in statistics}
    return Trained(path, weights, *_architecture(path, weights), about['weights'], about['step'], statistics)


def _load_exported(path):
    remedy = 'restore it (git checkout -- data, in a clone)' if path == PRETRAINED else 'export it again'
    try:
        with zipfile.ZipFile(path) as archive:  # what is not compressed cannot unpack to more than the file holds
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError('a member is compressed')
        with np.load(path) as arrays:
            values = {name: arrays[name] for name in arrays}
        about = json.loads(str(values.pop('about')))
        if about['sha256'] != _digest(values):
            raise ValueError('the checksum does not match')
        if about['weights'] not in WEIGHTS or not isinstance(about['config'], dict):
            raise ValueError('its description is not one of export.py')
        if any(value.dtype != np.float32 for value in values.values()):
            raise ValueError('a variable is not float32')
        if not isinstance(about['step'], int | None):
            raise ValueError('its step is no number')
    except OSError as error:
        raise RunError(f'{path} cannot be read: {reason_of(error)}; {remedy}') from error
    except (ValueError, KeyError, TypeError, EOFError, RuntimeError, NotImplementedError, MemoryError, SyntaxError,
            zipfile.BadZipFile) as error:
        raise RunError(f'{path} is damaged: {str(error) or type(error).__name__}; {remedy}') from error
    return about, values


def _digest(values):
    digest = hashlib.sha256()
    for name, value in sorted(values.items()):
        digest.update(f'{name} {value.shape}'.encode())
        digest.update(np.ascontiguousarray(value))
    return digest.hexdigest()


def _require_finite(path, weights):
    broken = [name for name, value in weights.items() if not np.isfinite(value).all()]
    if broken:
        raise RunError(f'{path} draws nothing: {broken[0]} holds values that are no finite numbers')


def step_of(path):
    """Returns the steps that were done at a checkpoint, None where its name does not say."""
    step = re.search(r'-(\d+)$', path.name)
    return step and int(step[1])


def name_of(path):
    """Returns what pictures from a checkpoint are called by: step-0000158; its own name where that says no step."""
    step = step_of(path)
    return path.name.removesuffix('.npz') if step is None else f'step-{step:07d}'


def load(session, values):
    """Gives all variables of the session's graph the values of their names, {name: array}; others begin as they do."""
    variables = tf.global_variables()
    session.run([variable.initializer for variable in variables],
                {variable.initial_value: values[variable.op.name] for variable in variables
                 if variable.op.name in values})


def _architecture(path, weights):
    """Returns the length of a latent, the size of the first layer and the depths."""
    def shape(name):
        if name not in weights:
            raise RunError(f"{path} holds no generator of the article: there is no variable {name}; another's "
                           'checkpoint cannot be drawn from')
        return weights[name].shape

    z_dim, units = (*shape('g/reshape/dense/kernel'), 0)[:2]
    depths = [*shape('g/reshape/batch_normalization/gamma')]
    while (gamma := f'g/deconv{len(depths)}/batch_normalization/gamma') in weights:
        depths += shape(gamma)
    s_size = math.isqrt(units // depths[0])
    expected = {'g/reshape/dense/kernel': (z_dim, s_size * s_size * depths[0])}
    for layer, (depth, following) in enumerate(zip(depths, [*depths[1:], 3], strict=True), start=1):
        expected[f'g/deconv{layer}/conv2d_transpose/kernel'] = 5, 5, following, depth
    for name, size in expected.items():
        if shape(name) != size:
            raise RunError(f'{path} holds no generator of the article: {name} is {list(shape(name))}, and where the '
                           f'depths are {depths} it would be {list(size)}')
    return z_dim, s_size, depths


def _path_of(model_dir, wanted):
    stem = os.path.expanduser(FILES.sub('', wanted))
    paths = [stem] if model_dir is None else [stem, os.path.join(model_dir, stem)]
    for path in paths:
        if os.path.isfile(f'{path}.index') or os.path.isfile(path):  # TensorFlow once wrote a single file
            return Path(path)
    if os.path.isdir(stem):
        raise RunError(f'{wanted} is a folder; --model_dir={wanted} draws from the newest checkpoint in it')
    folder = Path(paths[-1]).parent
    there = _checkpoints_in(folder)
    raise RunError(f'there is no checkpoint {wanted!r}; {folder} holds {", ".join(there) or "none"}')


def _checkpoints_in(folder):
    """Returns the names of the checkpoints in a folder."""
    return sorted(path.name.removesuffix('.index') for path in folder.glob('*.index'))


def _runs_in(folder):
    """Returns in words which run directories lie in a folder."""
    runs = sorted({str(path.parent) for path in folder.glob('*/model.ckpt-*.index')})
    return f'; there are {", ".join(runs)}' if runs else ''
