"""Files: never half-written, and a clear sentence where they cannot be written."""

import contextlib
import os
import re
import shutil
import stat
from pathlib import Path

import platformdirs
from absl import flags

from dcgan.errors import UserError, reason_of

# Windows allows neither these characters in a file's name, nor these names with any suffix.
RESERVED = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
DEVICES = re.compile(r'(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?', re.IGNORECASE)

flags.disclaim_key_flags()  # ``define_path`` defines those of its caller

CACHE_DIR = platformdirs.user_cache_path('dcgan-faces', appauthor=False)


class PathParser(flags.ArgumentParser):
    """Parses a path on this machine, '~' being the home folder."""

    syntactic_help = 'a path on this machine'

    def parse(self, argument):
        """Returns a Path.

        Raises:
          ValueError: it cannot be one.
        """
        text = os.fspath(argument)
        if re.match(r'[A-Za-z][A-Za-z0-9+.-]+://', text):
            raise ValueError('it is not a local path; copy it to this machine, or mount it')
        path = os.path.expanduser(text)
        if path.startswith('~'):
            raise ValueError('the home folder does not exist or is unknown (is HOME set?); write the whole path')
        if not path or '\0' in path:
            raise ValueError('it is not a path; expected e.g. faces/2026')
        return Path(path)


def define_path(name, default, text):
    """Defines a flag whose value is a Path, or None."""
    flags.DEFINE(PathParser(), name, default, text)


def safe_name(name):
    """Returns the valid file name on every system that is closest to the given one."""
    name = RESERVED.sub('_', name).rstrip('. ') or '_'
    return f'_{name}' if DEVICES.fullmatch(name) else name


def read_file(path, max_bytes):
    """Returns the content of a file that a user names, bytes.

    Raises:
      OSError: it cannot be read, is no regular file (opening a pipe would wait for a writer) or is larger.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError('it is not a file')
    with open(path, 'rb') as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(f'it has more than {max_bytes:,} bytes')
    return content


def require_regular(paths):
    """Checks that Paths, if they exist, are files or folders: opening something else may wait for ever.

    Raises:
      UserError: one is not.
    """
    for path in paths:
        if not os.path.isfile(path) and not os.path.isdir(path) and os.path.exists(path):
            raise UserError(f'{path} is a pipe, a socket or a device, where a file is expected; remove it')


@contextlib.contextmanager
def replacing(path):
    """Yields a path beside ``path``, for a file or folder that replaces it when the context ends without an error.

    Args:
      path: a Path.

    Raises:
      OSError: it cannot be replaced.
    """
    part = path.with_name(f'{path.name}.{os.getpid()}.part')  # another process may be writing the same
    try:
        yield part
        part.replace(path)
    except BaseException:  # a signal, too
        with contextlib.suppress(OSError):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
        raise


def write_atomically(path, content, sync=False):
    """Writes bytes to a file, so that a reader finds all of it or what was there before.

    Args:
      path: a Path.
      content: bytes.
      sync: whether this must also survive a power failure; it takes some milliseconds more.

    Raises:
      OSError: it cannot be written; nothing of it is left.
    """
    with replacing(path) as part, part.open('wb') as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def write_output(path, content, flag):
    """Writes bytes to the file that a flag names; makes its folder.

    Args:
      path: a Path.
      content: bytes.
      flag: the name of the flag.

    Raises:
      UserError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise cannot_write(path, flag, error) from error


def require_writable(path, flag):
    """Makes the folder of a file that a flag names, before hours are spent computing its content.

    Args:
      path: a Path.
      flag: the name of the flag.

    Raises:
      UserError: it could not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, flag, error) from error
    if os.path.isdir(path):
        raise cannot_write(path, flag, 'it is a folder')
    if not os.access(path.parent, os.W_OK):
        raise cannot_write(path, flag, f'{path.parent} is read-only')


def cannot_write(path, flag, reason):
    """Returns the UserError for a file that a flag names; ``reason`` is text or an exception."""
    if os.path.isfile(path.parent):
        reason = f'{path.parent} is a file'
    elif isinstance(reason, Exception):
        reason = reason_of(reason)
    return UserError(f'cannot write {path}: {reason}; choose another place with --{flag}')
