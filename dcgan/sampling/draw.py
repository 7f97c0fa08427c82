"""What can be drawn from a generator: pictures, as the bytes of a PNG, faces, and the frames of films."""

import re

import imageio.v3 as imageio
import numpy as np

from dcgan.errors import UserError, reason_of
from dcgan.sampling.latents import title_of, walk
from dcgan.sampling.pictures import enlarge, grid, png, require_room, sheet, tile
from dcgan.sampling.real_images import nearest

WALK_FRAME = 1 / 12  # seconds
TRAINING_FRAME, TRAINING_FILM = 0.5, 20  # seconds, at most
MAX_FRAMES = 200  # of a film of a run's grids; of more, evenly spaced ones are shown


def interpolation(generator, seeds, frames):
    """Draws the walk from each seed to the next as a PNG, a row for each walk.

    Args:
      generator: a TrainedGenerator.
      seeds: int64 [n], n at least 2; here and below also with saved latents, as ``parse_seeds`` returns them.
      frames: images of each walk, both ends included; at least 2.
    """
    return grid(_walk(generator, seeds, frames), len(seeds) - 1, frames)


def walk_film(generator, seeds, frames):
    """Draws the same walk as a film: its frames, uint8 [k, size, size, 3], and the seconds of each."""
    joints = frames * np.arange(1, len(seeds) - 1)  # would be shown twice
    return np.delete(_walk(generator, seeds, frames), joints, axis=0), WALK_FRAME


def between(generator, points, percent):
    """Draws the face at a percentage (0 to 100) of the way between two points, uint8 [size, size, 3]."""
    path = walk(generator.latents(points), 101)[0]
    return generator.images(path[percent:percent + 1])[0]


def arithmetic(generator, terms):
    """Draws a sum of latents as a PNG: for each term its faces and their mean, and the result.

    Args:
      generator: a TrainedGenerator.
      terms: Terms, as ``parse_sum`` returns them.
    """
    columns = max(len(term.seeds) for term in terms)
    require_room((len(terms) + 1) * (columns + 1), generator.size)
    members, means, total = _add_up(generator, terms)
    images = generator.images(np.concatenate([*members, means, total]))
    *faces, results = np.split(images, np.cumsum([len(latents) for latents in members]))
    rows = []
    for term, term_faces, mean in zip(terms, faces, results[:-1], strict=True):
        cells = list(zip(term_faces, map(str, term.seeds), strict=True)) if len(term.seeds) > 1 else []
        rows.append([*cells, *[None] * (columns - len(cells)), (mean, f'{"+-"[term.sign < 0]} {term.text}')])
    return png(sheet([*rows, [*[None] * columns, (results[-1], '= result')]]))


def result(generator, terms):
    """Draws only the result of a sum, which ``arithmetic`` shows with its terms, uint8 [size, size, 3]."""
    return generator.images(_add_up(generator, terms)[-1])[0]


def neighbours(generator, seeds, real_images, count):
    """Draws the training images nearest to each face.

    Args:
      generator: a TrainedGenerator.
      seeds: int64 [n].
      real_images: RealImages, those of the training.
      count: images to show for each face.

    Returns:
      A PNG, a row for each seed, and the lines of a table: seed, then name and distance of each image.
    """
    require_room(len(seeds) * (count + 1), generator.size)
    faces, images, names = generator.images(seeds), real_images.pack.images, real_images.names
    found, distances = nearest(faces, images, count)
    rows, lines = [], []
    for seed, face, indices, far in zip(seeds, faces, found, distances, strict=True):
        pairs = list(zip(indices, far, strict=True))
        rows.append([(face, title_of(seed)),
                     *((images[index], f'{names[index]}\n{distance:.1f}') for index, distance in pairs)])
        lines.append(f'{title_of(seed):<13} '
                     + ', '.join(f'{names[index]} {distance:.1f}' for index, distance in pairs))
    return png(sheet(rows)), lines


def projection(found, name, scale):
    """Draws a photo beside the nearest face that was found, with their distance, as a PNG.

    Args:
      found: a Projection.
      name: of the photo.
      scale: how many times to enlarge them, see ``pictures.enlarge``.
    """
    photo, face = enlarge(np.stack([found.photo, found.face]), scale)
    return png(sheet([[(photo, name), (face, f'nearest face\n{found.distance:.1f}')]]))


def face_grid(generator, seeds, rows, columns):
    """Draws the faces of seeds, int64 [n], n at most rows * columns; returns uint8 [rows * size, columns * size, 3]."""
    require_room(rows * columns, generator.size)
    return tile(generator.images(seeds), rows, columns)


def film_of_checkpoints(generators, seeds, rows, columns, epoch_steps):
    """Draws a film of training, the same grid from every checkpoint, labelled.

    Args:
      generators: iterable of TrainedGenerators of one image size; each is closed once it has drawn.
      seeds: int64 [n].
      rows, columns: of the grid.
      epoch_steps: steps of an epoch; None if that is not known.

    Returns:
      Its frames, uint8 [k, height, width, 3], and the seconds of each.
    """
    grids = []
    for generator in generators:
        with generator:
            grids.append((generator.checkpoint.step, face_grid(generator, seeds, rows, columns)))
    return _film(grids, epoch_steps)


def film_of_grids(model_dir, epoch_steps, scale):
    """Makes a film of training from the grids that the run drew, enlarged and labelled; the rest as above.

    Raises:
      UserError: there are none, or one cannot be read.
    """
    paths = sorted((model_dir / 'samples').glob('step-*.png'))
    if not paths:
        raise UserError(f'{model_dir / "samples"} holds no grid step-N.png; --film=checkpoints draws from the '
                        'checkpoints')
    paths = [paths[index] for index in np.unique(np.linspace(0, len(paths) - 1, MAX_FRAMES).round().astype(int))]
    try:
        return _film([(int(re.sub(r'\D', '', path.stem)), enlarge(imageio.imread(path)[np.newaxis], scale)[0])
                      for path in paths], epoch_steps)
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow and NumPy raise
        raise UserError(f'cannot make a film of {paths[0].parent}: {reason_of(error)}; remove the pictures that are '
                        'damaged or of another model') from error


def moment(step, epoch_steps):
    """Returns in words when in training a step was; either may be None."""
    if step is None:
        return 'step unknown'
    return f'step {step:,}' + (f', epoch {step / epoch_steps:.2f}' if epoch_steps else '')


def _walk(generator, seeds, frames):
    require_room((len(seeds) - 1) * frames, generator.size)
    latents = walk(generator.latents(seeds), frames)
    return generator.images(latents.reshape(-1, latents.shape[-1]))


def _add_up(generator, terms):
    """Returns the latents of each term, float32 [n, z_dim]; their means [terms, z_dim]; the result [1, z_dim]."""
    members = [generator.latents(term.seeds) for term in terms]
    means = np.stack([latents.mean(axis=0) for latents in members])
    return members, means, np.array([[term.sign for term in terms]], np.float32) @ means


def _film(grids, epoch_steps):
    frames = [sheet([[(picture, moment(step, epoch_steps))]]) for step, picture in grids]
    width = max(frame.shape[1] for frame in frames)  # captions may be wider than small grids
    frames = [np.pad(frame, [(0, 0), (0, width - frame.shape[1]), (0, 0)], constant_values=255) for frame in frames]
    seconds = min(TRAINING_FRAME, TRAINING_FILM / len(frames))
    frames += frames[-1:] * round(1 / seconds)  # the last one stays for a second
    return np.stack(frames), seconds
