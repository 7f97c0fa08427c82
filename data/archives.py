"""Which members of an archive are images, as ``folders`` says of a folder's files."""

import posixpath
from collections import defaultdict
from pathlib import PurePosixPath

from data.folders import MAX_BYTES, RUN, RUN_FILES, SPECIAL, UNREADABLE
from data.formats import HEAD_BYTES, HIDDEN, is_hidden, reason_to_skip
from dcgan.errors import UserError

REPEATED = 'same name as another'


def find_images(members, is_regular, read_start):
    """Finds the images among the members of an archive.

    Args:
      members: list of (name, member); a name is a normal path with forward slashes, and ends with one if it is that of
        a folder.
      is_regular: function that returns whether a member is a regular file.
      read_start: function (member, count) that returns at most the first ``count`` bytes of a member; may raise
        UserError.

    Returns:
      {name: member} of the images; {reason: [name]} of what was skipped; a function that takes the name of an image
      and returns its bytes, or raises UserError if they cannot be read or are more than ``MAX_BYTES``.
    """
    images, skipped = {}, defaultdict(list)
    runs = _run_directories([name.rstrip('/') for name, _ in members])
    if runs:
        skipped[RUN] = sorted(f'{run}/' for run in runs)
    for name, member in members:
        if name.endswith('/') or (runs and not runs.isdisjoint(PurePosixPath(name).parents)):
            continue
        try:
            if any(map(is_hidden, name.split('/'))):
                reason = HIDDEN
            elif not is_regular(member):
                reason = SPECIAL
            else:
                reason = reason_to_skip(name, lambda member=member: read_start(member, HEAD_BYTES))
        except UserError:
            reason = UNREADABLE
        if reason is None:
            if name in images:  # the last one stays, as where the archive is unpacked
                skipped[REPEATED].append(name)
            images[name] = member
        else:
            skipped[reason].append(name)

    def read(name):
        content = read_start(images[name], MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UserError(f'the file has more than {MAX_BYTES:,} bytes, the limit')
        return content

    return images, dict(skipped), read


def _run_directories(names):
    """Returns the outermost folders that hold what train.py leaves in a run directory, as PurePosixPaths."""
    folders = set(map(posixpath.dirname, names))
    found = {*names, *folders}
    runs = {PurePosixPath(folder) for folder in folders
            if all(posixpath.join(folder, name) in found for name in RUN_FILES)}
    return {run for run in runs if runs.isdisjoint(run.parents)}
