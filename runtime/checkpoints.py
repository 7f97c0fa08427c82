"""Checkpoints: which are whole, which is the newest, which are kept."""

import re

import tensorflow.compat.v1 as tf

from runtime.errors import RunError, reason_of

# The article shows the generator at the start, after 2 epochs of CelebA and after 5, of 1,582 updates each.
ARTICLE_UPDATES = {'start': 0, 'epoch-2': 3_164, 'epoch-5': 7_910}
NEWEST = 5  # kept besides the milestones
UNREADABLE = tf.errors.OpError, LookupError, ValueError, RuntimeError  # what TensorFlow raises over a damaged one


class Checkpoints:
    """The checkpoints ``model.ckpt-N.*`` of a run directory, and the file ``checkpoint`` that names them to TensorFlow.

    A checkpoint is there when its .index is, which TensorFlow writes last; every value in it has a checksum. So a run
    goes on from the newest that reads whole, whatever happened to those after it or to ``checkpoint``.

    Attributes:
      latest: the step of the checkpoint last found or saved, None where there is none.
    """

    def __init__(self, directory):
        """Takes a RunDirectory."""
        self._directory = directory
        self._damaged = {}
        self.latest = None

    def find(self):
        """Returns the step of the newest whole checkpoint, None where no step was ever done; says what it passed over.

        Every value of it is read, to check it.

        Raises:
          RunError: steps were done, and none of their checkpoints is whole.
        """
        steps = self.steps()
        named = self._named()
        self._damaged = {} if named is None or named in steps else {named: 'it is gone'}
        for step in reversed(steps):
            problem = self._problem(step)
            if problem is None:
                self.latest = step
                break
            self._damaged[step] = problem
        said = [f'{self.path(step)} cannot be read: {problem}' for step, problem in self._damaged.items()]
        if self.latest is None and (any(self._damaged) or self._directory.has_log()):
            raise RunError('\n'.join(['no checkpoint of this run is whole:', *(f'  {line}' for line in said),
                                      f'restore one in {self._directory.path}, remove that folder to begin anew, or '
                                      'name another --model_dir']))
        for line in said:
            print(f'warning     {line}; going on from '
                  f'{"the start" if self.latest is None else self.path(self.latest).name}')
        return self.latest

    def name(self):
        """Writes ``checkpoint``, so that TensorFlow restores the latest, too; removes it where there is none."""
        if self.latest is None:
            (self._directory.path / 'checkpoint').unlink(missing_ok=True)
            return
        lines = [f'model_checkpoint_path: "{self.path(self.latest).name}"']
        lines += [f'all_model_checkpoint_paths: "{self.path(step).name}"'
                  for step in self.steps() if step <= self.latest]
        self._directory.write('checkpoint', '\n'.join([*lines, '']).encode())

    def save(self, session, saver, step, steps_per_epoch):
        """Saves a checkpoint; removes those that are neither among the newest five nor milestones.

        Raises:
          RunError: it could not be written; those before it are untouched.
        """
        try:
            saver.save(session, str(self._directory.path / 'model.ckpt'), global_step=step, write_meta_graph=False,
                       write_state=False)
        except (tf.errors.OpError, OSError, ValueError) as error:  # ValueError: the folder is gone
            kept = 'none is whole' if self.latest is None else f'the last whole one is {self.path(self.latest)}'
            raise RunError(f'the checkpoint {self.path(step)} cannot be written: {reason_of(error)}; {kept}. Mend '
                           'that, and the same command goes on from there') from error
        self.latest = step
        self._damaged.pop(step, None)
        # Those of later steps, if any, are damaged; this run will write over them.
        done, whole = ([former for former in self._steps(pattern) if former <= step]
                       for pattern in ('model.ckpt-*', 'model.ckpt-*.index'))
        newest = [former for former in whole if former not in self._damaged][-NEWEST:]
        for former in done:
            if former not in newest and not is_milestone(former, steps_per_epoch):
                self._remove(former)
        self.name()

    def steps(self):
        """Returns the steps of the checkpoints that there are, whole or not, in their order."""
        return self._steps('model.ckpt-*.index')

    def path(self, step):
        """Returns what TensorFlow calls the path of a checkpoint: that of its files, without the suffix."""
        return self._directory.path / f'model.ckpt-{step}'

    def _steps(self, pattern):
        found = (re.match(r'model\.ckpt-(\d+)\.', path.name) for path in self._directory.path.glob(pattern))
        return sorted({int(match[1]) for match in found if match})

    def _named(self):
        """Returns the step of the checkpoint that ``checkpoint`` names as the latest, None where it names none."""
        try:
            content = (self._directory.path / 'checkpoint').read_text(errors='replace')
        except OSError:
            return None
        named = re.search(r'^model_checkpoint_path: ".*model\.ckpt-(\d+)"', content, re.MULTILINE)
        return named and int(named[1])

    def _problem(self, step):
        """Returns why a checkpoint does not read whole, None where it does."""
        try:
            reader = tf.train.load_checkpoint(str(self.path(step)))
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)  # checks its checksum
        except UNREADABLE as error:
            return reason_of(error)
        return None

    def _remove(self, step):
        # The .index goes first: without it, the rest is no checkpoint.
        for path in sorted(self._directory.path.glob(f'model.ckpt-{step}.*'), key=lambda path: path.suffix != '.index'):
            path.unlink()


def is_milestone(step, steps_per_epoch):
    """Returns whether a step's checkpoint is kept for good.

    Kept are the article's moments, whatever the data set, and the end of epochs 1, 2, 5, 10, 20, 30, ...
    """
    if step in ARTICLE_UPDATES.values():
        return True
    epoch, rest = divmod(step, steps_per_epoch)
    return not rest and (epoch in (1, 2, 5) or epoch % 10 == 0)
