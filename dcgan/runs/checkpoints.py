"""Checkpoints: reads any; of a run, which are intact, which is the newest, which are kept."""

import re

import numpy as np
import tensorflow.compat.v1 as tf

from dcgan.errors import UserError, reason_of
from dcgan.files import require_regular
from dcgan.runs.run_directory import WILDCARDS, is_pattern

# The article shows the generator at the start, after 2 epochs of CelebA and after 5, of 1,582 updates each.
ARTICLE_UPDATES = {'start': 0, 'epoch-2': 3_164, 'epoch-5': 7_910}
EMA_SUFFIX = '/ExponentialMovingAverage'  # of the variable that holds the moving average of another
NEWEST = 5  # kept besides the milestones
UNREADABLE = tf.errors.OpError, LookupError, ValueError, RuntimeError, OSError  # what reading a damaged one raises


class Checkpoints:
    """The checkpoints ``model.ckpt-N.*`` of a run directory, and the file ``checkpoint`` that names them to TensorFlow.

    A checkpoint exists when its .index does, which TensorFlow writes last; every value in it has a checksum. So a run
    resumes from the newest intact one, whatever happened to those after it or to ``checkpoint``.

    Attributes:
      directory: the RunDirectory.
      latest: the step of the checkpoint last found or saved; None if there is none.
      best: another step whose checkpoint is kept; None if there is none.
    """

    def __init__(self, directory):
        """Reads nothing yet.

        Args:
          directory: the RunDirectory.
        """
        self.directory = directory
        self._damaged = {}
        self.latest = self.best = None

    def find(self):
        """Returns the step of the newest intact checkpoint, None if no step was ever done; reports damaged ones.

        Every value of it is read, to check it.

        Raises:
          UserError: steps were done, and none of their checkpoints is intact.
        """
        self._damaged = {}
        for step in reversed(self._steps('model.ckpt-*.[id]*')):  # one file of which may be missing
            try:
                CheckpointReader(self.path(step)).read_all()  # checks the checksum of each value
            except UserError as error:
                self._damaged[step] = error
            else:
                self.latest = step
                break
        problems = self._damaged.values()
        was_logged = any(path.stat().st_size for path in self.directory.path.glob('log.jsonl'))
        if self.latest is None and (any(self._damaged) or was_logged):
            raise UserError('\n'.join(['no checkpoint of this run is intact:', *(f'  {line}' for line in problems),
                                      f'restore one in {self.directory.path}, remove that folder to start over, or '
                                      'choose another --model_dir']))
        for line in problems:
            print(f'warning     {line}; resuming from '
                  f'{"the start" if self.latest is None else self.path(self.latest).name}')
        return self.latest

    def write_index(self):
        """Writes ``checkpoint``, from which TensorFlow knows the latest; removes it if there is none."""
        if self.latest is None:
            (self.directory.path / 'checkpoint').unlink(missing_ok=True)
            return
        lines = [f'model_checkpoint_path: "{self.path(self.latest).name}"']
        lines += [f'all_model_checkpoint_paths: "{self.path(step).name}"'
                  for step in self.steps() if step <= self.latest]
        self.directory.write('checkpoint', '\n'.join([*lines, '']).encode())

    def save(self, session, saver, step, steps_per_epoch):
        """Saves a checkpoint; removes those that are not among the newest five, milestones or the best.

        Raises:
          UserError: it cannot be written; those before it are untouched.
        """
        self.directory.require_present()
        try:
            saver.save(session, str(self.directory.path / 'model.ckpt'), global_step=step, write_meta_graph=False,
                       write_state=False)
        except (tf.errors.OpError, OSError, ValueError) as error:  # ValueError: the folder is gone
            kept = 'there is no earlier one' if self.latest is None else f'the last one is {self.path(self.latest)}'
            raise UserError(f'cannot write the checkpoint {self.path(step)}: {reason_of(error)}; {kept}. Fix that and '
                           'run the same command again to resume from there') from error
        self.latest = step
        self._damaged.pop(step, None)
        # Those of later steps, if any, are damaged; this run will overwrite them.
        done, intact = ([former for former in self._steps(pattern) if former <= step]
                       for pattern in ('model.ckpt-*', 'model.ckpt-*.index'))
        newest = [former for former in intact if former not in self._damaged][-NEWEST:]
        for former in done:
            if former not in newest and former != self.best and not is_milestone(former, steps_per_epoch):
                self._remove(former)
        self.write_index()

    def steps(self):
        """Returns the steps of all checkpoints, damaged ones included, in ascending order."""
        return self._steps('model.ckpt-*.index')

    def path(self, step):
        """Returns the path of a checkpoint as TensorFlow has it: that of its files, without the suffix."""
        return self.directory.path / f'model.ckpt-{step}'

    def _steps(self, pattern):
        found = (re.match(r'model\.ckpt-(\d+)\.', path.name) for path in self.directory.path.glob(pattern))
        return sorted({int(match[1]) for match in found if match})

    def _remove(self, step):
        # The .index first: without it, the rest is no checkpoint.
        for path in sorted(self.directory.path.glob(f'model.ckpt-{step}.*'), key=lambda path: path.suffix != '.index'):
            try:
                path.unlink()
            except OSError as error:
                print(f'warning     cannot remove the old checkpoint file {path}: {reason_of(error)}')
                return


class CheckpointReader:
    """Reads variables of a checkpoint that this project or TensorFlow 1 wrote.

    Attributes:
      path: of the checkpoint, as TensorFlow has it.
      shapes: {name: list} of all its variables.
    """

    def __init__(self, path):
        """Opens a checkpoint.

        Args:
          path: a Path, as TensorFlow has it.

        Raises:
          UserError: it cannot be read.
        """
        if is_pattern(path):
            raise UserError(f'{path} has one of {WILDCARDS} in its name, which TensorFlow takes for a pattern; rename '
                            'it')
        require_regular(path.parent.glob(f'{path.name}.*'))
        self.path = path
        try:
            self._reader = tf.train.load_checkpoint(str(path))
            self._dtypes = self._reader.get_variable_to_dtype_map()
        except UNREADABLE as error:
            raise UserError(f'cannot read {path}: {reason_of(error)}') from error
        self.shapes = {name: list(shape) for name, shape in self._reader.get_variable_to_shape_map().items()}

    def read(self, expected, network, suffix='', remedy=''):
        """Returns {name: float32 array} of variables; nothing is read unless all are as expected.

        Args:
          expected: {name: list} of their shapes.
          network: what they make up, for the message, e.g. "the article's generator".
          suffix: of their names in the checkpoint.
          remedy: end of the message if they are not as expected.

        Raises:
          UserError: the checkpoint lacks one, one has another shape or type, is not finite, or cannot be read.
        """
        found = {name: self.shapes[name + suffix] for name in expected if name + suffix in self.shapes}
        require_shapes(self.path, found, expected, network, remedy)
        for name in expected:
            if self._dtypes[name + suffix] != tf.float32:
                raise UserError(f'{self.path} does not hold {network}: {name} is not float32{remedy}')
        values = self._get(expected, suffix)
        require_finite(self.path, values)
        return values

    def read_all(self):
        """Returns all variables, {name: array}.

        Raises:
          UserError: one cannot be read.
        """
        return self._get(self.shapes)

    def _get(self, names, suffix=''):
        try:
            return {name: self._reader.get_tensor(name + suffix) for name in names}
        except UNREADABLE as error:
            raise UserError(f'cannot read {self.path}: {reason_of(error)}') from error


def require_shapes(path, found, expected, network, remedy=''):
    """Checks the shapes of variables, {name: list}, against those expected; the rest as ``CheckpointReader.read``.

    Raises:
      UserError: one is missing, or has another shape.
    """
    for name, shape in expected.items():
        if name not in found:
            raise UserError(f'{path} does not hold {network}: it has no variable {name}{remedy}')
        if found[name] != shape:
            raise UserError(f'{path} does not hold {network}: {name} has shape {found[name]}; expected {shape}{remedy}')


def require_finite(path, values):
    """Checks {name: array}, variables of the checkpoint at ``path``.

    Raises:
      UserError: one is not finite, or a variance is negative.
    """
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise UserError(f'{path} cannot be used: {name} holds NaN or infinite values; use another checkpoint')
        if name.endswith('/moving_variance') and value.min() < 0:
            raise UserError(f'{path} cannot be used: {name} holds negative variances; use another checkpoint')


def is_milestone(step, steps_per_epoch):
    """Returns whether a step's checkpoint is kept for good.

    Kept are the article's moments, whatever the data set, and the end of epochs 1, 2, 5, 10, 20, 30, ...
    """
    if step in ARTICLE_UPDATES.values():
        return True
    epoch, rest = divmod(step, steps_per_epoch)
    return not rest and (epoch in (1, 2, 5) or epoch % 10 == 0)
