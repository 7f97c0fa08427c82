"""Which members of an archive are images, as ``folders`` says of a folder's files."""

import posixpath
from collections import defaultdict
from pathlib import PurePosixPath

from data.folders import RUN, RUN_FILES, SPECIAL, UNREADABLE
from data.formats import HEAD_BYTES, HIDDEN, is_hidden, reason_to_skip
from dcgan.errors import UserError

REPEATED = 'same name as another'


def find_images(members, read):
    """Finds the images among the members of an archive.

    Args:
      members: list of (name, is_regular, member): a normal path with forward slashes, which ends with one if it is that
        of a folder; whether it is a regular file; what ``read`` takes.
      read: function (member, limit) that returns at most the first ``limit`` bytes; may raise UserError or OSError.

    Returns:
      {name: member} of the images; {reason: [name]} of what was skipped.
    """
    images, skipped = {}, defaultdict(list)
    runs = _run_directories([name.rstrip('/') for name, _, _ in members])
    if runs:
        skipped[RUN] = sorted(f'{run}/' for run in runs)
    for name, is_regular, member in members:
        if name.endswith('/') or (runs and not runs.isdisjoint(PurePosixPath(name).parents)):
            continue
        try:
            if any(map(is_hidden, name.split('/'))):
                reason = HIDDEN
            elif not is_regular:
                reason = SPECIAL
            else:
                reason = reason_to_skip(name, lambda member=member: read(member, HEAD_BYTES))
        except (UserError, OSError):
            reason = UNREADABLE
        if reason is None:
            if name in images:  # the last one stays, as where the archive is unpacked
                skipped[REPEATED].append(name)
            images[name] = member
        else:
            skipped[reason].append(name)

    return images, dict(skipped)


def _run_directories(names):
    """Returns the outermost folders that hold what train.py leaves in a run directory, as PurePosixPaths."""
    folders = set(map(posixpath.dirname, names))
    found = {*names, *folders}
    runs = {PurePosixPath(folder) for folder in folders
            if all(posixpath.join(folder, name) in found for name in RUN_FILES)}
    return {run for run in runs if runs.isdisjoint(run.parents)}
