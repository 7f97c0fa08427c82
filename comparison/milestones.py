"""The moments that the article shows, in updates: the start, after 2 epochs of CelebA and after 5."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from runtime.checkpoints import ARTICLE_UPDATES
from runtime.errors import RunError, reason_of

ARTICLE_TITLES = {'start': 'at the start', 'epoch-2': 'after 2 epochs of CelebA', 'epoch-5': 'after 5 epochs of CelebA'}
NEAR = 0.1  # share of the updates by which a run that is still on its way may lack the article's
SEEDS = np.arange(128)  # the article's batch, of which the first 64 are shown
PICTURES = ('.png', '.jpg', '.jpeg', '.gif', '.webp')


class Milestone(NamedTuple):
    """A moment of a run.

    Attributes:
      name: as its files are called.
      title: in words.
      updates: the article's updates at that moment; None of one that the article does not show.
      step: updates of the checkpoint nearest to it; where the run has not come that far, ``updates``.
      epochs: epochs of this data set that ``step`` is.
      checkpoint: its path, None where the run has not come that far.
    """

    name: str
    title: str
    updates: int | None
    step: int
    epochs: float
    checkpoint: Path | None


def milestones_of(checkpoints, steps_per_epoch, latest):
    """Returns the article's Milestones of a run, and that of its latest checkpoint if it is none of them.

    Args:
      checkpoints: a Checkpoints, that of the run.
      steps_per_epoch: steps of an epoch.
      latest: the step of the newest checkpoint that can be read.
    """
    there = [step for step in checkpoints.steps() if step <= latest]
    moments = []
    for name, updates in ARTICLE_UPDATES.items():
        like = [step for step in there if bool(step) == bool(updates)]  # only the start is like the start
        is_there = bool(like) and latest >= (1 - NEAR) * updates
        nearest = min(like, key=lambda step, updates=updates: abs(step - updates)) if is_there else updates
        moments.append((name, ARTICLE_TITLES[name], updates, nearest, is_there))
    if latest not in [step for *_, step, _ in moments]:
        moments.append(('latest', f'after {latest:,} update{"s" * (latest != 1)}', None, latest, True))
    moments.sort(key=lambda moment: moment[3])
    return [Milestone(name, title, updates, step, step / steps_per_epoch, checkpoints.path(step) if is_there else None)
            for name, title, updates, step, is_there in moments]


def article_figures(folder):
    """Returns the article's figures that the user saved in a folder, {name: (MIME type, bytes)}; {} for None.

    Raises:
      RunError: the folder holds none, or what is no picture.
    """
    if folder is None:
        return {}
    expected = f'it takes pictures called {", ".join(ARTICLE_UPDATES)}, ending in {", ".join(PICTURES)}'
    try:
        paths = sorted(Path(folder).expanduser().iterdir())
    except OSError as error:
        raise RunError(f'--article_figures={folder} cannot be read: {reason_of(error)}; {expected}') from error
    found = {path.stem.lower(): path for path in paths if path.suffix.lower() in PICTURES}
    figures = {name: _picture(found[name]) for name in ARTICLE_UPDATES if name in found}
    if not figures:
        raise RunError(f'--article_figures={folder} holds {", ".join(path.name for path in paths) or "nothing"}; '
                       f'{expected}')
    return figures


def _picture(path):
    """Returns the type and the bytes of a picture."""
    try:
        with Image.open(path) as image:
            image.load()
            return image.get_format_mimetype(), path.read_bytes()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # of Pillow, for what is none
        raise RunError(f'{path} is no picture that can be read; save it anew, as PNG or JPEG') from error
