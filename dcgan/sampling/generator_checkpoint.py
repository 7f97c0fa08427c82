"""Checkpoints to draw from: finds them, and reads the generator of each."""

import math
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

from dcgan.errors import UserError
from dcgan.runs.checkpoints import EMA_SUFFIX, CheckpointReader, Checkpoints, require_finite, require_shapes
from dcgan.runs.event_log import best_of, read_log
from dcgan.runs.run_directory import RunDirectory
from dcgan.sampling import PRETRAINED
from dcgan.sampling.exported import digest_of, is_statistic, pretrained, read_exported
from model import Generator

NETWORK = "the article's generator"
KERNEL = 'g/reshape/dense/kernel'
GAMMAS = [f'g/{layer}/batch_normalization/gamma' for layer in ('reshape', 'deconv1', 'deconv2', 'deconv3')]

CHECKPOINT_FILE = re.compile(r'\.(index|meta|data-\d+-of-\d+)$')  # TensorFlow names a checkpoint without these


class GeneratorCheckpoint(NamedTuple):
    """A generator as a checkpoint holds it; its architecture is read from its variables.

    Attributes:
      path: of the checkpoint, as TensorFlow has it, or of an exported generator (.npz).
      variables: {name: float32 array} of the generator's variables, with batch normalization's moving averages if they
        were saved.
      z_dim: length of a latent.
      s_size: height and width of the first layer, in pixels.
      depths: channels of the four hidden layers.
      weights: 'trained', as training left them, or 'ema', their moving averages.
      step: updates done; None if that is not known.
      statistics: population statistics that came with the weights, {name of a moving average: float32 array}, or {}.
    """

    path: Path
    variables: dict[str, np.ndarray]
    z_dim: int
    s_size: int
    depths: list[int]
    weights: str
    step: int | None
    statistics: dict[str, np.ndarray]

    @property
    def size(self):
        """Height and width of its images, in pixels."""
        return 16 * self.s_size

    @property
    def run(self):
        """Where the settings of its run are: the run directory, or the exported generator itself."""
        return self.path if self.path.suffix == '.npz' else self.path.parent

    @property
    def digest(self):
        """SHA-256 of its weights, without moving averages of batch normalization."""
        return digest_of({name: value for name, value in self.variables.items() if not is_statistic(name)})


def open_run(model_dir, pretrained_name=None):
    """Returns the Path of a run directory; without one, None, that of a pretrained generator, by name or the default.

    Raises:
      UserError: it does not exist, or TensorFlow would not find checkpoints in it.
    """
    if model_dir is None:
        name = pretrained_name or PRETRAINED[0]
        if name == 'celeba':
            print('note        the celeba generator is for non-commercial research (data/celeba_generator.md)')
        return pretrained(name)
    path = RunDirectory(model_dir).path
    if not path.is_dir():
        raise UserError(f'the run directory {model_dir} {"is a file" if os.path.isfile(path) else "does not exist"}'
                        f'{_runs_in(path.parent)}')
    return path


def find(run, wanted):
    """Finds checkpoints.

    Args:
      run: a run directory or an exported generator, as ``open_run`` returns it.
      wanted: 'latest', the newest that can be read; 'best', with the lowest distance in the log; 'all'; a step, in
        digits; or the path of a checkpoint, absolute or relative to here or to ``run``.

    Returns:
      Their paths, at least one, by step. Those that 'latest' skips are reported.

    Raises:
      UserError: there is no such checkpoint.
    """
    if not re.fullmatch('latest|best|all|[0-9]+', wanted):
        return [_find_path(run, wanted)]
    if not run.is_dir():
        if wanted in ('latest', 'all'):
            return [run]
        raise UserError(f'--checkpoint={wanted:.20} needs a run; name its directory with --model_dir')
    checkpoints = Checkpoints(RunDirectory(run))
    paths = {str(step): checkpoints.path(step) for step in checkpoints.steps()}
    if not paths:
        raise _no_checkpoint(run, 'model.ckpt-N')
    if wanted == 'all':
        return list(paths.values())
    if wanted == 'latest':
        return [next(read_all(list(paths.values())[::-1])).path]
    if wanted == 'best':
        _, wanted = best_of(entry for entry in read_log(run / 'log.jsonl') if str(entry['step']) in paths)
        if wanted is None:
            raise UserError(f'training measured no checkpoint of {run}; train with --evaluate_steps')
    if str(wanted) not in paths:
        raise _no_checkpoint(run, f'of step {wanted:.20}')
    return [paths[str(wanted)]]


def read_all(paths, weights='trained'):
    """Yields the GeneratorCheckpoint of each path, as ``read`` does; of several, reports and skips the unreadable ones.

    Raises:
      UserError: none can be read.
    """
    readable = 0
    for path in paths:
        try:
            checkpoint = read(path, weights)
        except UserError as error:
            if len(paths) == 1:
                raise
            tqdm.write(f'warning     {error}; skipping it')  # there may be a progress bar
        else:
            readable += 1
            yield checkpoint
    if not readable:
        raise UserError('there is no checkpoint to draw from')


def read(path, weights='trained'):
    """Reads the generator of a checkpoint, as this project or TensorFlow 1 wrote it.

    Args:
      path: a Path, as TensorFlow has it, or of an exported generator (.npz).
      weights: 'trained', 'ema' (their moving averages), or 'auto': ema if the checkpoint has them.

    Returns:
      A GeneratorCheckpoint.

    Raises:
      UserError: it cannot be read, does not hold the article's generator, or lacks these weights.
    """
    if path.suffix == '.npz':
        return _from_exported(path, weights)
    reader = CheckpointReader(path)
    if weights == 'auto':
        weights = 'ema' if GAMMAS[0] + EMA_SUFFIX in reader.shapes else 'trained'
    suffix = EMA_SUFFIX if weights == 'ema' else ''
    shapes = {name.removesuffix(suffix): shape for name, shape in reader.shapes.items() if name.endswith(suffix)}
    if weights == 'ema' and not shapes:
        raise UserError(f'{path} has no averaged weights, which train.py keeps with --ema_decay; use --weights=trained')
    *architecture, expected = _architecture(path, shapes)
    return GeneratorCheckpoint(path, reader.read(expected, NETWORK, suffix), *architecture, weights, step_of(path), {})


def _from_exported(path, weights):
    about, values = read_exported(path)
    if weights not in ('auto', about['weights']):
        raise UserError(f'{path} has {about["weights"]} weights only; use --weights={about["weights"]}')
    *architecture, _ = _architecture(path, {name: list(value.shape) for name, value in values.items()})
    require_finite(path, values)
    statistics = {name: values.pop(name) for name in list(values) if is_statistic(name)}
    return GeneratorCheckpoint(path, values, *architecture, about['weights'], about['step'], statistics)


def _architecture(path, shapes):
    """Returns z_dim, s_size, the four depths, and {name: list}, the shapes of the generator's variables.

    Args:
      path: of the checkpoint, for the message.
      shapes: {name: list} of its variables. Moving averages may be missing.

    Raises:
      UserError: these are not the variables of the article's generator.
    """
    for name, rank in [*((gamma, 1) for gamma in GAMMAS), (KERNEL, 2)]:
        if len(shapes.get(name, [])) != rank or 0 in shapes[name]:
            require_shapes(path, shapes, {name: ['a number above 0'] * rank}, NETWORK)
    (z_dim, units), depths = shapes[KERNEL], [shapes[gamma][0] for gamma in GAMMAS]
    s_size = max(1, math.isqrt(units // depths[0]))
    with tf.Graph().as_default():
        tf.set_random_seed(0)  # where ops are deterministic, initializers ask for one
        Generator(depths, s_size)(tf.zeros([1, z_dim]))
        expected = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()
                    if variable.op.name in shapes or not is_statistic(variable.op.name)}
    require_shapes(path, shapes, expected, NETWORK)
    return z_dim, s_size, depths, expected


def step_of(path):
    """Returns the step in the name of a checkpoint; None if there is none."""
    step = re.search(r'-(\d{1,13})$', path.name)
    return step and int(step[1])


def label_of(path):
    """Returns a name for pictures drawn from a checkpoint, e.g. step-0000158; its own name if that has no step."""
    step = step_of(path)
    return path.name.removesuffix('.npz') if step is None else f'step-{step:07d}'


def load(session, values):
    """Initializes all variables of the session's graph, from values of the same names where there are any.

    Args:
      session: a tf.Session.
      values: {name: array}.
    """
    variables = tf.global_variables()
    session.run([variable.initializer for variable in variables],
                {variable.initial_value: values[variable.op.name] for variable in variables
                 if variable.op.name in values})


def _find_path(run, wanted):
    stem = os.path.expanduser(CHECKPOINT_FILE.sub('', wanted))
    paths = [Path(stem), (run if run.is_dir() else Path()) / stem]
    for path in paths:
        if os.path.isfile(f'{path}.index') or os.path.isfile(path):  # TensorFlow once wrote a single file
            return path
    if os.path.isdir(stem):
        raise UserError(f'{wanted} is a folder; use --model_dir={wanted} to draw from its newest checkpoint')
    raise _no_checkpoint(paths[-1].parent, repr(wanted))


def _no_checkpoint(folder, wanted):
    """Returns the UserError for a checkpoint that a folder does not hold, which names those that it holds."""
    found = ', '.join(sorted(path.name.removesuffix('.index') for path in folder.glob('*.index')))
    return UserError(f'{folder} holds no checkpoint {wanted}' + (
        f', but {found}; name one with --checkpoint' if found else f'; python train.py makes them{_runs_in(folder)}'))


def _runs_in(folder):
    """Returns the run directories in a folder, as text for a message."""
    runs = sorted({str(path.parent) for path in folder.glob('*/model.ckpt-*.index')})
    return f'; there are {", ".join(runs)}' if runs else ''
