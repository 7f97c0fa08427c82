"""The run directory: everything that a run leaves, and the rule that nothing in it is half-written."""

import contextlib
import fcntl
import json
import os
import platform
import time
from pathlib import Path

from runtime.errors import RunError, reason_of
from runtime.files import write_whole

WILDCARDS = '[]*?\\'  # in a path, which TensorFlow takes for a pattern when it looks for a checkpoint

# What a killed run may have been writing.
HALF_WRITTEN = ('config.json.*.part', 'checkpoint.*.part', 'log.jsonl.*.part', 'reals.png.*.part',
                'samples/step-*.png.*.part', 'events.out.tfevents.*.part', 'model.ckpt-*.tempstate*')


class RunDirectory:
    """``config.json``, checkpoints, TensorBoard events, ``log.jsonl``, ``samples/`` and ``reals.png`` of one run.

    Attributes:
      path: the folder.
    """

    def __init__(self, path):
        """Takes the folder, which need not be there.

        Raises:
          RunError: TensorFlow would not find checkpoints in one of that name.
        """
        self.path = Path(os.path.expanduser(path))
        if not set(str(self.path)).isdisjoint(WILDCARDS):
            raise RunError(f'the run directory {self.path} has one of {WILDCARDS} in its name, which TensorFlow takes '
                           'for a pattern when it looks for checkpoints; --model_dir names another')

    @contextlib.contextmanager
    def locked(self):
        """Makes the folder, and keeps other processes from running here until this one leaves the context or ends.

        Raises:
          RunError: another one runs here, or the folder cannot be made or written.
        """
        try:
            (self.path / 'samples').mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f'the run directory {self.path} cannot be made: {error.strerror}; --model_dir names '
                           'another') from error
        path = self.path / 'lock'
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), 'r+b', buffering=0))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.truncate()
                file.write(f'process {os.getpid()} on {platform.node()}, since '
                           f'{time.strftime("%Y-%m-%d %H:%M:%S")}'.encode())
            except BlockingIOError as error:
                holder = file.read().decode(errors='replace') or 'a process that just began'
                raise RunError(f'another run is going on in {self.path}: {holder}; stop it, wait for its end, or name '
                               'another --model_dir') from error
            except OSError as error:
                raise RunError(f'{path} cannot be written: {error.strerror}; --model_dir names another run '
                               'directory') from error
            for pattern in HALF_WRITTEN:
                for part in self.path.glob(pattern):
                    part.unlink()
            yield

    def agree(self, config, may_change, defaults):
        """Refuses settings with which the checkpoints that there are were not made.

        Args:
          config: the settings of the run, {flag: value}, values as JSON has them.
          may_change: flags that a later start of the same run may give another value.
          defaults: values of settings that older runs do not name.

        Raises:
          RunError: the checkpoints were made with other settings (each is named), or nothing says with which.
        """
        before = {**defaults, **self.read_config()}
        missing = [name for name in config if name not in before]
        if missing:
            raise RunError(f'{self.path / "config.json"} is damaged: it says nothing of {", ".join(missing)}; restore '
                           'it, or name another --model_dir')
        differing = [name for name in config if name not in may_change and config[name] != before[name]]
        if differing:
            lines = [f'  {name}: {before[name]} there, {config[name]} now' for name in differing]
            raise RunError('\n'.join([f'{self.path} holds a run with other settings:', *lines,
                                      'repeat them to go on with that run, or name another --model_dir']))

    def read_config(self):
        """Returns the settings that the run was last started with.

        Raises:
          RunError: config.json is missing or damaged.
        """
        path = self.path / 'config.json'
        try:
            config = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise RunError(f'{self.path} holds checkpoints, but no config.json that says how they were made; restore '
                           'it, or name another --model_dir') from error
        except OSError as error:
            raise RunError(f'{path} cannot be read: {error.strerror}; --model_dir names another run') from error
        except ValueError as error:
            raise RunError(f'{path} is damaged: {error}; restore it, or name another --model_dir') from error
        if not isinstance(config, dict):
            raise RunError(f'{path} is damaged: it holds no settings, but {config!r:.40}; restore it, or name another '
                           '--model_dir')
        return config

    def write_config(self, config):
        """Writes the settings of the run, as ``agree`` takes them, into ``config.json``."""
        self.write('config.json', json.dumps(config, indent=2).encode() + b'\n')

    def has_log(self):
        """Returns whether a step was ever logged here."""
        path = self.path / 'log.jsonl'
        return path.exists() and path.stat().st_size > 0

    def write(self, name, content):
        """Writes bytes into a file of the directory: beside its place, then renamed into it.

        Raises:
          RunError: it cannot be written.
        """
        path = self.path / name
        try:
            write_whole(path, content, sync=True)
        except OSError as error:
            raise cannot_be_written(path, error) from error


def cannot_be_written(path, error):
    """Returns the RunError for a file of a run directory that an OSError or one of TensorFlow's errors tells of."""
    return RunError(f'{path} cannot be written: {reason_of(error)}; mend that, and the same command goes on from the '
                    'last checkpoint, or --model_dir names another run directory')
