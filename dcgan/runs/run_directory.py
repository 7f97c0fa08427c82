"""The run directory: everything that a run leaves; no file in it is half-written."""

import contextlib
import itertools
import json
import os
import re
import shutil
from pathlib import Path

import filelock

from dcgan.errors import UserError, reason_of
from dcgan.files import require_regular, safe_name, write_atomically
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
          UserError: TensorFlow would not find checkpoints in one of that name, or reading it would wait for ever.
        """
        self.path = path
        self._locked = None
        if is_pattern(self.path):
            raise UserError(f'the run directory {self.path} has one of {WILDCARDS} in its name, which TensorFlow takes '
                           'for a pattern when it looks for checkpoints; choose another with --model_dir')
        try:
            str(path).encode()
            require_regular(itertools.chain(path.glob('*'), path.glob('samples/*')))
        except OSError as error:
            raise self._unusable(error) from error
        except UnicodeEncodeError as error:
            raise UserError(f'the run directory {path} has a name that is not UTF-8, which TensorFlow cannot open; '
                            'set the environment variable PYTHONUTF8=1 if it is, or choose another with --model_dir'
                            ) from error

    @contextlib.contextmanager
    def locked(self):
        """Makes the folder, and keeps other processes from training in it until the context ends or this process does.

        Raises:
          UserError: another process trains here, or the folder cannot be made or written.
        """
        lock, is_new = self.path / 'lock', not self.path.exists()
        held = filelock.FileLock(lock, timeout=0)
        try:
            (self.path / 'samples').mkdir(parents=True, exist_ok=True)
            held.acquire()
            self._locked = lock.stat()
        except filelock.Timeout as error:
            raise UserError(f'another run is training in {self.path}; stop it, wait for it to end, or choose another '
                            '--model_dir') from error
        except (OSError, NotImplementedError) as error:  # filelock raises the second where files cannot be locked
            raise self._unusable(error) from error
        try:
            for part in itertools.chain.from_iterable(map(self.path.glob, HALF_WRITTEN)):
                with self.writing(part):
                    part.unlink()
            yield
        finally:
            is_refused = is_new and self._is_present() and {
                path.name for path in self.path.glob('*')} <= {'lock', 'samples'}
            held.release()
            if is_refused:
                shutil.rmtree(self.path, ignore_errors=True)

    def _unusable(self, error):
        return UserError(f'cannot use the run directory {self.path}: {reason_of(error)}; choose another with '
                         '--model_dir')

    def _is_present(self):
        try:
            return os.path.samestat((self.path / 'lock').stat(), self._locked)
        except OSError:
            return False

    def require_present(self):
        """Refuses to go on when the folder that was locked is gone.

        Raises:
          UserError: it was moved or removed, or another one is in its place.
        """
        if not self._is_present():
            raise UserError(f'the run directory {self.path} was moved or removed while training; move it back and run '
                            'the same command again to resume from its last checkpoint. If it is gone, that starts '
                            'over')

    @contextlib.contextmanager
    def writing(self, path, *errors):
        """A context in which a file of the locked directory is written; turns OSError and ``errors`` into a UserError.
        """
        self.require_present()
        try:
            yield
        except (OSError, *errors) as error:
            self.require_present()
            raise UserError(f'cannot write {path}: {reason_of(error)}; fix that and run the same command again to '
                            'resume from the last checkpoint, or choose another --model_dir') from error

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
            advice = 'use the same images' if differing[0] in ('images', 'images_crc32') else 'drop these flags'
            raise UserError('\n'.join([f'{self.path} holds a run with other settings:', *lines,
                                      f'{advice} to resume that run, or choose another --model_dir']))
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

    def write(self, name, content):
        """Writes bytes to a file of the directory, atomically.

        Raises:
          UserError: it cannot be written.
        """
        with self.writing(self.path / name):
            write_atomically(self.path / name, content, sync=True)
