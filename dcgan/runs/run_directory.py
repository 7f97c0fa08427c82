"""The run directory: everything that a run leaves; no file in it is half-written."""

import contextlib
import itertools
import json
import os
import platform
import re
import time
from pathlib import Path

import filelock

from dcgan.errors import UserError, reason_of
from dcgan.files import safe_name, write_atomically
from dcgan.runs.settings import DEFAULTS, MAY_CHANGE, parse_record

WILDCARDS = '[]*?\\'  # in a path: TensorFlow takes them for a pattern when it looks for a checkpoint

# What a killed run may have been writing.
HALF_WRITTEN = ('*.part', 'samples/*.part', 'model.ckpt-*.tempstate*')


def default_model_dir(dataset):
    """Returns the run directory for a data set of that name, a Path."""
    return Path('runs', safe_name(re.sub(f'[{re.escape(WILDCARDS)}]', '_', dataset)))


def samples_name(step):
    """Returns the name, in a run directory, of the grid that is drawn after a step."""
    return f'samples/step-{step:07d}.png'


def is_pattern(path):
    """Returns whether TensorFlow takes a Path for a pattern when it looks for a checkpoint."""
    return not set(path.as_posix()).isdisjoint(WILDCARDS)  # a backslash between folders, on Windows, is none


class RunDirectory:
    """``config.json``, checkpoints, TensorBoard events, ``log.jsonl``, ``samples/`` and ``reals.png`` of one run.

    Attributes:
      path: the folder.
    """

    def __init__(self, path):
        """Names a run directory.

        Args:
          path: the folder, a Path, which need not exist.

        Raises:
          UserError: TensorFlow would not find checkpoints in one of that name.
        """
        self.path = path
        if is_pattern(self.path):
            raise UserError(f'the run directory {self.path} has one of {WILDCARDS} in its name, which TensorFlow takes '
                           'for a pattern when it looks for checkpoints; choose another with --model_dir')

    @contextlib.contextmanager
    def locked(self):
        """Makes the folder, and keeps other processes from training in it until the context ends or this process does.

        Raises:
          UserError: another process trains here, or the folder cannot be made or written.
        """
        owner = self.path / 'lock.owner'
        lock = filelock.FileLock(self.path / 'lock', timeout=0)
        try:
            (self.path / 'samples').mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except filelock.Timeout as error:
            raise UserError(f'another run is training in {self.path}: {_read_owner(owner)}; stop it, wait for it to '
                           'end, or choose another --model_dir') from error
        except OSError as error:
            raise UserError(f'cannot use the run directory {self.path}: {reason_of(error)}; choose another with '
                           '--model_dir') from error
        try:
            for part in itertools.chain.from_iterable(map(self.path.glob, HALF_WRITTEN)):
                with writing_run(part):
                    part.unlink()
            self.write(owner.name, f'process {os.getpid()} on {platform.node()}, since '
                                   f'{time.strftime("%Y-%m-%d %H:%M:%S")}'.encode())
            yield
        finally:
            lock.release()

    def require_present(self):
        """Refuses to go on when the folder that was locked is gone.

        Raises:
          UserError: it was removed, or another one is in its place.
        """
        if not (self.path / 'lock').exists():
            raise _removed(self.path)

    def require_same(self, config):
        """Returns the settings with which the run was last started; refuses those that differ from them.

        Args:
          config: {name: value} of the settings now.

        Raises:
          UserError: the checkpoints were made with other settings (each is named), or the settings are not known.
        """
        before = self.read_config()
        missing = [name for name in config if name not in before]
        if missing:
            raise UserError(f'{self.path / "config.json"} is damaged: it lacks {", ".join(missing)}; restore it, or '
                           'choose another --model_dir')
        differing = [name for name in config if name not in MAY_CHANGE and config[name] != before[name]]
        if differing:
            lines = [f'  {name}: {before[name]} there, {config[name]} now' for name in differing]
            raise UserError('\n'.join([f'{self.path} holds a run with other settings:', *lines,
                                      'drop these flags to resume that run, or choose another --model_dir']))
        return before

    def read_config(self):
        """Returns the settings with which the run was last started, defaults where an earlier version recorded none.

        Raises:
          UserError: config.json is missing or damaged.
        """
        path = self.path / 'config.json'
        try:
            return DEFAULTS | parse_record(json.loads(path.read_bytes()))
        except FileNotFoundError as error:
            raise UserError(f'{self.path} holds checkpoints, but no config.json that says how they were made; restore '
                           'it, or choose another --model_dir') from error
        except OSError as error:
            raise UserError(f'cannot read {path}: {error.strerror}; choose another run with --model_dir') from error
        except (ValueError, RecursionError) as error:
            raise UserError(f'{path} is damaged: {error}; restore it, or choose another --model_dir') from error

    def write_config(self, config):
        """Writes the settings of the run, {name: value}, to ``config.json``."""
        self.write('config.json', json.dumps(config, indent=2, default=str).encode() + b'\n')

    def has_checkpoints(self):
        """Returns whether there is a checkpoint, and so a run to resume."""
        return any(self.path.glob('model.ckpt-*.index'))

    def has_log(self):
        """Returns whether a step was ever logged here."""
        path = self.path / 'log.jsonl'
        return path.exists() and path.stat().st_size > 0

    def write(self, name, content):
        """Writes bytes to a file of the directory, atomically.

        Raises:
          UserError: it cannot be written.
        """
        with writing_run(self.path / name):
            write_atomically(self.path / name, content, sync=True)


@contextlib.contextmanager
def writing_run(path, *errors):
    """A context in which a file of a run directory is written; turns OSError and ``errors`` into a UserError."""
    try:
        yield
    except (OSError, *errors) as error:
        folder = path.parent.parent if path.parent.name == 'samples' else path.parent
        if not folder.exists():
            raise _removed(folder) from error
        raise UserError(f'cannot write {path}: {reason_of(error)}; fix that and run the same command again to resume '
                        'from the last checkpoint, or choose another --model_dir') from error


def _removed(path):
    return UserError(f'the run directory {path} was removed while training, and with it all that was saved; run the '
                     'same command again to start over')


def _read_owner(path):
    try:
        return path.read_text(encoding='utf-8', errors='replace')
    except OSError:
        return 'a process that has just started'
