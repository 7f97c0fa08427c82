"""What a folder, a .zip or a .tar holds: which of its files are images, and their contents in one sweep."""

import errno
import functools
import time
from collections import defaultdict

from data.formats import HEAD_BYTES, reason_to_skip
from dcgan.errors import UserError, reason_of

MAX_BYTES = 1 << 28  # 256 MiB, of a file or of what it unpacks to

REPEATED = 'same name as another'
SPECIAL = 'neither file nor folder'
UNREADABLE = 'unreadable'

# What a disk or a network drive reports in passing: it says nothing about a file.
PASSING = {getattr(errno, name) for name in (
    'EIO', 'ESTALE', 'ETIMEDOUT', 'EAGAIN', 'EBUSY', 'ENXIO', 'ENODEV', 'ENOTCONN', 'EREMOTEIO', 'EHOSTDOWN',
    'EHOSTUNREACH', 'ENETDOWN', 'ENETUNREACH', 'ECONNRESET') if hasattr(errno, name)}
PAUSES = 0.2, 1.0, 5.0  # seconds, before another try


def list_images(files, read):
    """Finds the images among files.

    Args:
      files: iterator of (name, reason, stamp): a path with forward slashes; why it is skipped, or None if its name and
        content are to tell; values that change with the file.
      read: function (name, limit) that returns at most the first ``limit`` bytes of a file; may raise anything.

    Returns:
      The stamps of the images, {name: stamp}; what was skipped, {reason: [name]}; a function that takes the sorted
      names and yields (name, content) of each: bytes, or a UserError that says why they cannot be read.

    Raises:
      UserError: the disk or network drive fails, here or in that function.
    """
    stamps, skipped = {}, defaultdict(list)
    for name, reason, stamp in files:
        try:
            reason = reason or reason_to_skip(name, functools.partial(patiently, name, read, name, HEAD_BYTES))
        except UserError:
            raise
        except Exception:  # a damaged archive can raise anything
            reason = UNREADABLE
        if reason:
            skipped[reason].append(name)
            continue
        if name in stamps:  # the last one stays, as where an archive is unpacked
            skipped[REPEATED].append(name)
        stamps[name] = stamp
    return stamps, dict(skipped), functools.partial(_read_in_order, read)


def _read_in_order(read, names):
    for name in names:
        try:
            content = patiently(name, read, name, MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                content = UserError(f'the file has more than {MAX_BYTES:,} bytes, the limit')
        except UserError:
            raise
        except Exception as error:  # a damaged archive can raise anything
            content = UserError(f'cannot read the file: {reason_of(error)}')
        yield name, content


def patiently(name, read, *arguments):
    """Calls a function that reads from a disk or network drive, again if that fails in passing.

    Args:
      name: of the file, for the message.
      read: the function.
      arguments: of the function.

    Raises:
      UserError: it keeps failing.
    """
    for pause in *PAUSES, None:
        try:
            return read(*arguments)
        except OSError as error:
            if error.errno not in PASSING:
                raise
            if pause is None:
                raise UserError(f'cannot read {name}: {reason_of(error)}, {len(PAUSES) + 1} times; is the drive still '
                                'connected? Run the same command again once it can be read') from error
        time.sleep(pause)
