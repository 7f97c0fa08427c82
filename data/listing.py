"""What a folder, a .zip or a .tar holds: which of its files are images, and their contents in one sweep."""

import functools
from collections import defaultdict

from data.formats import HEAD_BYTES, reason_to_skip
from dcgan.errors import UserError, reason_of

MAX_BYTES = 1 << 28  # 256 MiB, of a file or of what it unpacks to

REPEATED = 'same name as another'
SPECIAL = 'neither file nor folder'
UNREADABLE = 'unreadable'


def list_images(files, read):
    """Finds the images among files.

    Args:
      files: iterator of (name, reason, stamp): a path with forward slashes; why it is skipped, or None if its name and
        content are to tell; values that change with the file.
      read: function (name, limit) that returns at most the first ``limit`` bytes of a file; may raise anything.

    Returns:
      The stamps of the images, {name: stamp}; what was skipped, {reason: [name]}; a function that takes the sorted
      names and yields (name, content) of each: bytes, or a UserError that says why they cannot be read.
    """
    stamps, skipped = {}, defaultdict(list)
    for name, reason, stamp in files:
        try:
            reason = reason or reason_to_skip(name, functools.partial(read, name, HEAD_BYTES))
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
            content = read(name, MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                content = UserError(f'the file has more than {MAX_BYTES:,} bytes, the limit')
        except Exception as error:  # a damaged archive can raise anything
            content = UserError(f'cannot read the file: {reason_of(error)}')
        yield name, content
