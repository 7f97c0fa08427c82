"""Milestones of a run: the moments that the article shows, counted in updates."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from dcgan.errors import UserError, reason_of
from dcgan.files import local_path
from dcgan.runs.checkpoints import ARTICLE_UPDATES

ARTICLE_TITLES = {'start': 'at the start', 'epoch-2': 'after 2 epochs of CelebA', 'epoch-5': 'after 5 epochs of CelebA'}
TOLERANCE = 0.1  # a milestone counts as reached from 90 % of its updates on
SEEDS = np.arange(128)  # the article's batch; the first 64 are shown
SUFFIXES = ('.png', '.jpg', '.jpeg', '.gif', '.webp')


class Milestone(NamedTuple):
    """A moment of a run.

    Attributes:
      name: stem of its files.
      title: as the report shows it.
      updates: number of updates in the article; None if the article does not show this moment.
      step: updates of the nearest checkpoint; ``updates`` if the run has not got that far.
      epochs: ``step`` in epochs of the run's data set.
      checkpoint: Path of the nearest checkpoint; None if the run has not got that far.
    """

    name: str
    title: str
    updates: int | None
    step: int
    epochs: float
    checkpoint: Path | None


def milestones_of(checkpoints, steps_per_epoch, latest):
    """Returns the article's Milestones of a run, and one for its latest checkpoint if that is another.

    Args:
      checkpoints: Checkpoints of the run.
      steps_per_epoch: steps per epoch.
      latest: step of the newest readable checkpoint.
    """
    steps = [step for step in checkpoints.steps() if step <= latest]
    moments = []
    for name, updates in ARTICLE_UPDATES.items():
        candidates = [step for step in steps if bool(step) == bool(updates)]  # only step 0 is the start
        is_reached = bool(candidates) and latest >= (1 - TOLERANCE) * updates
        nearest = min(candidates, key=lambda step, updates=updates: abs(step - updates)) if is_reached else updates
        moments.append((name, ARTICLE_TITLES[name], updates, nearest, is_reached))
    if latest not in [step for *_, step, _ in moments]:
        moments.append(('latest', f'after {latest:,} update{"s" * (latest != 1)}', None, latest, True))
    moments.sort(key=lambda moment: moment[3])
    return [Milestone(name, title, updates, step, step / steps_per_epoch,
                      checkpoints.path(step) if is_reached else None)
            for name, title, updates, step, is_reached in moments]


def article_figures(folder):
    """Returns the article's figures that the user saved in a folder, {name: (MIME type, bytes)}; {} for None.

    Raises:
      UserError: the folder cannot be read, holds no figure, or a figure is not a picture.
    """
    if folder is None:
        return {}
    expected = f'expected pictures named {", ".join(ARTICLE_UPDATES)}, ending in {", ".join(SUFFIXES)}'
    try:
        paths = sorted(local_path(folder, 'article_figures').iterdir())
    except OSError as error:
        raise UserError(f'cannot read --article_figures={folder}: {reason_of(error)}; {expected}') from error
    found = {path.stem.lower(): path for path in paths if path.suffix.lower() in SUFFIXES}
    figures = {name: _picture(found[name]) for name in ARTICLE_UPDATES if name in found}
    if not figures:
        raise UserError(f'--article_figures={folder} holds {", ".join(path.name for path in paths) or "nothing"}; '
                        f'{expected}')
    return figures


def _picture(path):
    """Returns the MIME type and the bytes of a picture."""
    try:
        with Image.open(path) as image:
            image.load()
            return image.get_format_mimetype(), path.read_bytes()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # from Pillow
        raise UserError(f'{path} is not a readable picture; save it again as PNG or JPEG') from error
