"""The moments that the article shows: the start, after 2 epochs, after 5; and how far a run has come."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from runtime.errors import RunError, reason_of

OF_THE_ARTICLE = {'start': ('at the start', 0), 'epoch-2': ('after 2 epochs', 2), 'epoch-5': ('after 5 epochs', 5)}
SEEDS = np.arange(128)  # the article's batch, of which the first 64 are shown
PICTURES = ('.png', '.jpg', '.jpeg', '.gif', '.webp')


class Milestone(NamedTuple):
    """A moment of a run.

    Attributes:
      name: as its files are called.
      title: in words.
      step: steps done.
      checkpoint: its path, None where there is none.
    """

    name: str
    title: str
    step: int
    checkpoint: Path | None


def milestones_of(checkpoints, steps_per_epoch, latest):
    """Returns the article's Milestones of a run, and that of its latest checkpoint if it is none of them.

    Args:
      checkpoints: a Checkpoints, that of the run.
      steps_per_epoch: steps of an epoch.
      latest: the step of the newest checkpoint that can be read.
    """
    there = checkpoints.steps()
    moments = [(name, title, epoch * steps_per_epoch) for name, (title, epoch) in OF_THE_ARTICLE.items()]
    if latest not in [step for _, _, step in moments]:
        epochs = latest / steps_per_epoch
        moments.append(('latest', f'after {epochs:.4g} epoch{"" if epochs == 1 else "s"}', latest))
    moments.sort(key=lambda moment: moment[2])
    return [Milestone(*moment, checkpoints.path(moment[2]) if moment[2] in there else None) for moment in moments]


def article_figures(folder):
    """Returns the article's figures that the user saved in a folder, {name: (MIME type, bytes)}; {} for None.

    Raises:
      RunError: the folder holds none, or what is no picture.
    """
    if folder is None:
        return {}
    expected = f'it takes pictures called {", ".join(OF_THE_ARTICLE)}, ending in {", ".join(PICTURES)}'
    try:
        paths = sorted(Path(folder).expanduser().iterdir())
    except OSError as error:
        raise RunError(f'--article_figures={folder} cannot be read: {reason_of(error)}; {expected}') from error
    found = {path.stem.lower(): path for path in paths if path.suffix.lower() in PICTURES}
    figures = {name: _picture(found[name]) for name in OF_THE_ARTICLE if name in found}
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
