"""What can be drawn, as bytes of a picture's file."""

import re

import imageio.v3 as imageio
import numpy as np

from runtime.errors import RunError
from sampling.generator import TrainedGenerator
from sampling.latents import walk
from sampling.neighbours import nearest
from sampling.pictures import film, grid, png, require_room, sheet, tiled

WALKING = 1 / 12  # seconds a frame
TRAINING = 0.5, 20  # seconds a frame, and of the whole film, at the most
MOST_FRAMES = 200  # of a film of a run's grids; of more, evenly chosen ones are shown


def interpolation(generator, seeds, frames, suffix):
    """Draws the walk from each seed to the next.

    Args:
      generator: a TrainedGenerator.
      seeds: int64 [n], n at least 2.
      frames: images of each walk, both ends among them; at least 2.
      suffix: '.png' is a grid, a row a walk; '.gif' or '.mp4' a film.
    """
    require_room((len(seeds) - 1) * frames, generator.size)
    latents = walk(generator.latents(seeds), frames)
    images = generator.images(latents.reshape(-1, latents.shape[-1]))
    if suffix == '.png':
        return grid(images, len(latents), frames)
    joints = frames * np.arange(1, len(latents))  # which would be shown twice
    return film(np.delete(images, joints, axis=0), suffix, WALKING)


def between(generator, first, second, percent):
    """Draws the face so many percent of the way from one seed to another, as a PNG."""
    path = walk(generator.latents(np.array([first, second])), 101)[0]
    return png(generator.images(path[percent:percent + 1])[0])


def arithmetic(generator, terms):
    """Draws a sum of latents as a PNG: a row for each term, its faces and their mean, and the result.

    Args:
      generator: a TrainedGenerator.
      terms: Terms, as of ``parse_sum``.
    """
    columns = max(len(term.seeds) for term in terms)
    require_room((len(terms) + 1) * (columns + 1), generator.size)
    members, means, result = _add_up(generator, terms)
    images = generator.images(np.concatenate([*members, means, result]))
    *faces, results = np.split(images, np.cumsum([len(latents) for latents in members]))
    rows = []
    for term, of_term, mean in zip(terms, faces, results[:-1], strict=True):
        shown = list(zip(of_term, map(str, term.seeds), strict=True)) if len(term.seeds) > 1 else []
        rows.append([*shown, *[None] * (columns - len(shown)), (mean, f'{"+-"[term.sign < 0]} {term.text}')])
    return png(sheet([*rows, [*[None] * columns, (results[-1], '= result')]]))


def result(generator, terms):
    """Draws the result of such a sum alone, as a PNG."""
    return png(generator.images(_add_up(generator, terms)[-1])[0])


def neighbours(generator, seeds, pack, names, count):
    """Draws the training images nearest to each face.

    Args:
      generator: a TrainedGenerator.
      seeds: int64 [n].
      pack: uint8 [m, size, size, 3], the training images.
      names: theirs.
      count: how many are shown of them.

    Returns:
      A PNG, a row for each seed, and the lines of a table that says the same: seed, then name and distance of each.
    """
    require_room(len(seeds) * (count + 1), generator.size)
    faces = generator.images(seeds)
    found, distances = nearest(faces, pack, count)
    rows, lines = [], []
    for seed, face, which, far in zip(seeds, faces, found, distances, strict=True):
        rows.append([(face, f'seed {seed}'),
                     *((pack[index], f'{names[index]}\n{distance:.1f}') for index, distance in
                       zip(which, far, strict=True))])
        lines.append(f'seed {seed:<8} ' + ', '.join(f'{names[index]} {distance:.1f}' for index, distance in
                                                    zip(which, far, strict=True)))
    return png(sheet(rows)), lines


def face_grid(generator, seeds, rows, columns):
    """Draws the faces of seeds, int64 [n], n at most rows * columns; returns uint8 [rows * size, columns * size, 3]."""
    require_room(rows * columns, generator.size)
    return tiled(generator.images(seeds), rows, columns)


def film_of_checkpoints(checkpoints, seeds, rows, columns, batch_norm, batch_size, steps_per_epoch, suffix):
    """Draws a film of training: the same grid at every checkpoint, labelled.

    Args:
      checkpoints: an iterable of Trained, whose images are of one size.
      seeds: int64 [n].
      rows, columns: of the grid.
      batch_norm, batch_size: of the TrainedGenerators.
      steps_per_epoch: None where it is not known.
      suffix: '.gif' or '.mp4'.
    """
    grids = []
    for trained in checkpoints:
        with TrainedGenerator(trained, batch_norm, batch_size) as generator:
            grids.append((trained.step, face_grid(generator, seeds, rows, columns)))
    return _film(grids, steps_per_epoch, suffix)


def film_of_grids(model_dir, steps_per_epoch, suffix):
    """Makes a film of training of the grids that the run drew, labelled; other arguments as ``film_of_checkpoints``.

    Raises:
      RunError: there are none, or one cannot be read.
    """
    paths = sorted((model_dir / 'samples').glob('step-*.png'))
    if not paths:
        raise RunError(f'{model_dir / "samples"} holds no grid step-N.png; --film=checkpoints draws from '
                       'the checkpoints')
    paths = [paths[place] for place in np.unique(np.linspace(0, len(paths) - 1, MOST_FRAMES).round().astype(int))]
    grids = []
    for path in paths:
        try:
            grids.append((int(re.sub(r'\D', '', path.stem)), imageio.imread(path)))
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for a damaged PNG
            raise RunError(f'{path} is no picture that can be read; remove it, and the film is made without '
                           'it') from error
    return _film(grids, steps_per_epoch, suffix)


def moment(step, steps_per_epoch):
    """Returns in words when in training a step was; either is None where it is not known."""
    if step is None:
        return 'step unknown'
    return f'step {step:,}' + (f', epoch {step / steps_per_epoch:.2f}' if steps_per_epoch else '')


def _add_up(generator, terms):
    """Returns the latents of each term, float32 [n, z_dim]; their means [terms, z_dim]; the result [1, z_dim]."""
    latents = generator.latents(np.concatenate([term.seeds for term in terms]))
    members = np.split(latents, np.cumsum([len(term.seeds) for term in terms])[:-1])
    means = np.stack([latents.mean(axis=0) for latents in members])
    signs = np.array([[term.sign for term in terms]], np.float32)
    return members, means, signs @ means


def _film(grids, steps_per_epoch, suffix):
    if len({picture.shape for _, picture in grids}) > 1:
        raise RunError('the pictures of the film are not all of one size; remove those of another model')
    frames = []
    for step, picture in grids:
        frames.append(sheet([[(picture, moment(step, steps_per_epoch))]]))
    longest, whole = TRAINING
    widest = max(frame.shape[1] for frame in frames)  # captions may be wider than small grids
    frames = [np.pad(frame, [(0, 0), (0, widest - frame.shape[1]), (0, 0)], constant_values=255) for frame in frames]
    seconds = min(longest, whole / len(frames))
    frames += frames[-1:] * round(1 / seconds)  # the last one stays for a second more
    return film(np.stack(frames), suffix, seconds)
