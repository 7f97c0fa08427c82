"""Milestones of a run: the moments that the article shows, counted in updates; their faces, numbers and figures."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from dcgan.errors import UserError, counted, reason_of
from dcgan.files import read_file, require_regular, write_output
from dcgan.metrics.results import from_json, to_json
from dcgan.runs.checkpoints import ARTICLE_UPDATES, Checkpoints
from dcgan.runs.run_directory import RunDirectory
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import GeneratorCheckpoint, find, read, read_all
from dcgan.sampling.pictures import grid

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
      is_reached: whether the run has got that far.
      checkpoint: the GeneratorCheckpoint of that step; None if it cannot be read.
      picture: PNG of its faces; None without a checkpoint.
      results: its Results; () if nothing was measured.
    """

    name: str
    title: str
    updates: int | None
    step: int
    is_reached: bool
    checkpoint: GeneratorCheckpoint | None = None
    picture: bytes | None = None
    results: tuple | list = ()


def milestones_of(steps):
    """Returns the article's Milestones in a run, without checkpoints, and one for its newest step if that is another.

    Args:
      steps: of the checkpoints, in ascending order, at least one.
    """
    latest, milestones = steps[-1], []
    for name, updates in ARTICLE_UPDATES.items():
        candidates = [step for step in steps if bool(step) == bool(updates)]  # only step 0 is the start
        is_reached = bool(candidates) and latest >= (1 - TOLERANCE) * updates
        nearest = min(candidates, key=lambda step, updates=updates: abs(step - updates)) if is_reached else updates
        milestones.append(Milestone(name, ARTICLE_TITLES[name], updates, nearest, is_reached))
    if latest not in [milestone.step for milestone in milestones]:
        milestones.append(Milestone('latest', f'after {counted(latest, "update")}', None, latest, True))
    return sorted(milestones, key=lambda milestone: milestone.step)


def drawn(run, weights):
    """Returns the Milestones of a run with their checkpoints and faces, always of the same latents.

    The faces are normalized by the statistics of their batch, as in the article.

    Args:
      run: run directory, a Path.
      weights: 'trained', 'ema', or 'auto': ema if the newest checkpoint has them.

    Raises:
      UserError: the run has no readable checkpoint, or the newest one lacks these weights.
    """
    latest = read(find(run, 'latest')[0], weights)
    checkpoints = Checkpoints(RunDirectory(run))
    milestones = milestones_of([step for step in checkpoints.steps() if step <= latest.step])
    steps = sorted({milestone.step for milestone in milestones if milestone.is_reached})
    drawings = {}
    for checkpoint in read_all([checkpoints.path(step) for step in steps], latest.weights):
        with TrainedGenerator(checkpoint, 'batch', len(SEEDS)) as generator:
            picture = grid(generator.images(SEEDS)[:64], 8, 8)
        drawings[checkpoint.step] = {'checkpoint': checkpoint, 'picture': picture}
    return [milestone._replace(**drawings.get(milestone.step, {})) for milestone in milestones]


def measured(milestones, evaluator, path):
    """Returns Milestones with the Results of those that have a checkpoint.

    Measuring takes minutes, so the results of each milestone are saved at once and read again next time.

    Args:
      milestones: Milestones.
      evaluator: an Evaluator.
      path: JSON file of the results, a Path.

    Raises:
      UserError: the file cannot be written.
    """
    try:
        known = from_json(read_file(path, 1 << 24))
    except (OSError, ValueError):  # missing or damaged: measure again
        known = []
    checkpoints = {milestone.name: milestone.checkpoint for milestone in milestones if milestone.checkpoint}
    results = {}
    for number, (name, checkpoint) in enumerate(checkpoints.items(), start=1):
        with TrainedGenerator(checkpoint) as generator:
            results[name] = evaluator.measure(generator, known, f'{number} of {len(checkpoints)}')
        known += [result for result in results[name] if result not in known]
        write_output(path, to_json(known), 'out')
    return [milestone._replace(results=results.get(milestone.name, ())) for milestone in milestones]


def article_figures(folder):
    """Returns the article's figures that the user saved in a folder, {name: (MIME type, bytes)}; {} for None.

    Raises:
      UserError: the folder cannot be read, holds no figure, or a figure is not a picture.
    """
    if folder is None:
        return {}
    expected = f'expected pictures named {", ".join(ARTICLE_UPDATES)}, ending in {", ".join(SUFFIXES)}'
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f'cannot read --article_figures={folder}: {reason_of(error)}; {expected}') from error
    require_regular(paths)
    figures = {path.stem.lower(): _picture(path) for path in paths
               if path.stem.lower() in ARTICLE_UPDATES and path.suffix.lower() in SUFFIXES}
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
