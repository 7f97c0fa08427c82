"""Checkpoints to draw from: which are meant, and the generator that each holds."""

import hashlib
import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.checkpoints import Checkpoints
from runtime.errors import RunError, reason_of
from runtime.run_directory import RunDirectory

OF_GENERATOR = re.compile(r'g/(reshape|deconv\d+)/(dense|conv2d_transpose|batch_normalization)/'
                          r'(kernel|bias|gamma|beta|moving_mean|moving_variance)')
FILES = re.compile(r'\.(index|meta|data-\d+-of-\d+)$')  # of a checkpoint, of which TensorFlow names but the stem


class Trained(NamedTuple):
    """A generator as a checkpoint holds it; what it is made of is read off its variables.

    Attributes:
      path: the checkpoint, as TensorFlow calls it.
      weights: {name: float32 array} of the generator's variables, moving averages included where they were saved.
      z_dim: length of a latent.
      s_size: height and width of the first layer.
      depths: channels of the hidden layers.
    """

    path: Path
    weights: dict[str, np.ndarray]
    z_dim: int
    s_size: int
    depths: list[int]

    @property
    def digest(self):
        """Tells these weights from all others. The moving averages do not count."""
        digest = hashlib.sha256()
        for name, value in sorted(self.weights.items()):
            if '/moving_' not in name:
                digest.update(f'{name} {value.shape}'.encode())
                digest.update(np.ascontiguousarray(value))
        return digest.hexdigest()


def find(model_dir, wanted):
    """Finds the checkpoints that are meant.

    Args:
      model_dir: the run directory, or None.
      wanted: 'latest', the newest that is whole; 'all', every one that is; a step, in digits; or the path of a
        checkpoint, absolute, or from here or from ``model_dir``.

    Returns:
      Their paths, one at least, in the order of their steps; ``read`` reads them. One that 'latest' or 'all' passes
      over, as it cannot be read, is told.

    Raises:
      RunError: there is no such checkpoint.
    """
    if wanted not in ('latest', 'all') and not wanted.isdecimal():
        return [_path_of(model_dir, wanted)]
    if model_dir is None:
        raise RunError(f'--checkpoint={wanted} is looked for in a run: --model_dir=DIR names its directory'
                       f'{_runs_here(Path("runs"))}')
    checkpoints, steps = _steps_of(model_dir)
    if wanted.isdecimal():
        if int(wanted) not in steps:
            raise RunError(f'{model_dir} holds no checkpoint of step {int(wanted)}; there are those of '
                           f'{_listed(steps)}')
        return [checkpoints.path(int(wanted))]
    found = []
    for path in map(checkpoints.path, reversed(steps)):
        try:
            read(path)
        except RunError as error:
            print(f'warning     {error}; it is passed over')
            continue
        found.append(path)
        if wanted == 'latest':
            break
    if not found:
        raise RunError(f'no checkpoint in {model_dir} can be drawn from')
    return found[::-1]


def read(path):
    """Reads the generator that a checkpoint holds, as this project or TensorFlow 1 wrote it.

    Args:
      path: a Path, as TensorFlow calls it.

    Raises:
      RunError: it cannot be read, or holds no generator of the article.
    """
    try:
        reader = tf.train.load_checkpoint(str(path))
        weights = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
                   if OF_GENERATOR.fullmatch(name)}
    except (tf.errors.OpError, LookupError, ValueError, RuntimeError) as error:  # all are what TensorFlow raises
        raise RunError(f'{path} cannot be read: {reason_of(error)}') from error
    broken = [name for name, value in weights.items() if not np.isfinite(value).all()]
    if broken:
        raise RunError(f'{path} draws nothing: {broken[0]} holds values that are no finite numbers')
    return Trained(path, weights, *_architecture(path, weights))


def step_of(path):
    """Returns the steps that were done at a checkpoint, None where its name does not say."""
    step = re.search(r'-(\d+)$', path.name)
    return step and int(step[1])


def name_of(path):
    """Returns what pictures from a checkpoint are called by: step-0000158; its own name where that says no step."""
    step = step_of(path)
    return path.name if step is None else f'step-{step:07d}'


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
    stem = FILES.sub('', wanted)
    paths = [Path(stem).expanduser()] + ([Path(model_dir, stem)] if model_dir else [])
    for path in paths:
        if path.with_name(f'{path.name}.index').is_file() or path.is_file():  # TensorFlow once wrote a single file
            return path
    if paths[0].is_dir():
        raise RunError(f'{wanted} is a folder; --model_dir={wanted} draws from the newest checkpoint in it')
    there = sorted(path.name.removesuffix('.index') for path in paths[0].parent.glob('*.index'))
    raise RunError(f'there is no checkpoint {wanted}; ' + (
        f'{paths[0].parent} holds {", ".join(there)}' if there else f'{paths[0].parent} holds none'))


def _steps_of(model_dir):
    directory = RunDirectory(model_dir)
    checkpoints = Checkpoints(directory)
    if not directory.path.is_dir():
        raise RunError(f'the run directory {model_dir} does not exist{_runs_here(directory.path.parent)}')
    steps = checkpoints.steps()
    if not steps:
        others = sorted(path.name.removesuffix('.index') for path in directory.path.glob('*.index'))
        raise RunError(f'{model_dir} holds no checkpoint model.ckpt-N' + (
            f', but {", ".join(others)}; --checkpoint={directory.path / others[0]} draws from that' if others else
            f'; python train.py --model_dir={model_dir} makes them{_runs_here(directory.path)}'))
    return checkpoints, steps


def _runs_here(folder):
    """Returns in words which run directories lie in a folder."""
    runs = sorted({str(path.parent) for path in folder.glob('*/model.ckpt-*.index')}) if folder.is_dir() else []
    return f'; there are {", ".join(runs)}' if runs else ''


def _listed(steps):
    return ', '.join(map(str, steps))
