"""The run directory: everything that a run leaves, and the rule that nothing in it is half-written."""

import json
import os
import re
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import tensorflow.compat.v1 as tf


class RunError(Exception):
    """The run directory cannot be used as asked; the message says what was found, what was expected and what to do."""


class RunDirectory:
    """``config.json``, checkpoints, TensorBoard events, ``log.jsonl``, ``samples/`` and ``reals.png`` of one run.

    Attributes:
      path: the folder.
    """

    def __init__(self, path):
        """Makes the folder, unless it is there.

        Raises:
          RunError: it cannot be made, or TensorFlow would not find its checkpoints.
        """
        self.path = Path(os.path.expanduser(path))
        if not set(str(self.path)).isdisjoint('[]*?\\'):
            raise RunError(f'the run directory {self.path} has one of []*?\\ in its name, which TensorFlow takes for a '
                           'pattern when it looks for checkpoints; --model_dir names another')
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / 'samples').mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f'the run directory {self.path} cannot be made: {error.strerror}; --model_dir names '
                           'another') from error

    def step(self):
        """Returns the step of the latest checkpoint, or None where there is none.

        Raises:
          RunError: there was one, and it is gone, or the file ``checkpoint`` that names it.
        """
        kept = sorted(path.stem for path in self.path.glob('model.ckpt-*.index'))
        try:
            state = tf.train.get_checkpoint_state(str(self.path))
            latest = state and state.model_checkpoint_path
        except ValueError:  # the file is empty
            latest = ''
        if not latest and kept in ([], ['model.ckpt-0']):  # the very first may have been cut off before it was named
            return None
        step = re.search(r'model\.ckpt-(\d+)$', latest or '')
        if step is None or not tf.train.checkpoint_exists(latest):
            names = self.path / 'checkpoint'
            raise RunError(f'{names} names no checkpoint that is there, but {latest or "none"}, of '
                           f'{", ".join(kept) or "none"}; restore it, write model_checkpoint_path: "NAME" into it, or '
                           'name another --model_dir')
        return int(step[1])

    def agree(self, config, may_change):
        """Refuses settings with which the checkpoints that there are, if any, were not made.

        Args:
          config: the settings of the run, {flag: value}, values as JSON has them.
          may_change: flags that a later start of the same run may give another value.

        Raises:
          RunError: the checkpoints were made with other settings (each is named), or nothing says with which.
        """
        if self.step() is not None:
            before = self._read_config()
            differing = [name for name in config
                         if name not in may_change and name in before and config[name] != before[name]]
            if differing:
                lines = [f'  {name}: {before[name]} there, {config[name]} now' for name in differing]
                raise RunError('\n'.join([f'{self.path} holds a run with other settings:', *lines,
                                          'repeat them to go on with that run, or name another --model_dir']))

    def write_config(self, config):
        """Writes the settings of the run, as ``agree`` takes them, into ``config.json``."""
        self.write('config.json', json.dumps(config, indent=2).encode() + b'\n')

    def write(self, name, content):
        """Writes bytes into a file of the directory: beside its place, then renamed into it.

        Raises:
          RunError: it cannot be written.
        """
        path = self.path / name
        part = path.with_name(f'{path.name}.part')
        try:
            with part.open('wb') as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            raise RunError(f'{path} cannot be written: {error.strerror}; --model_dir names another run '
                           'directory') from error

    def _read_config(self):
        path = self.path / 'config.json'
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise RunError(f'{self.path} holds checkpoints, but no config.json that says how they were made; name '
                           'another --model_dir') from error
        except (OSError, ValueError) as error:
            raise RunError(f'{path} cannot be read: {error}; restore it, or name another --model_dir') from error


def grid(images, rows, columns):
    """Returns one PNG, as bytes, of the first rows * columns images, black where there are too few.

    Args:
      images: uint8 [n, height, width, 3].
      rows, columns: images down and across.
    """
    images = images[:rows * columns]
    _, height, width, channels = images.shape
    canvas = np.zeros([rows * columns, height, width, channels], np.uint8)
    canvas[:len(images)] = images
    canvas = canvas.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return imageio.imwrite('<bytes>', canvas.reshape(rows * height, columns * width, channels), extension='.png')
