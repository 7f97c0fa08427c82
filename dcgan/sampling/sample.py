"""What sample.py draws: a table of modes, and how the pictures of a mode are drawn and written."""

import functools
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.listing import MAX_BYTES
from dcgan.errors import UserError, reason_of
from dcgan.files import local_path, read_file, safe_name, write_output
from dcgan.sampling import VIDEO_SUFFIXES, draw
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import find, label_of, open_run, read, read_all
from dcgan.sampling.latents import SUFFIX, encode_latent, format_seeds, parse_seeds, parse_sum
from dcgan.sampling.output_paths import face_path, is_folder, picture_path, refuse_to_overwrite
from dcgan.sampling.pictures import film, layout, png
from dcgan.sampling.projection import Projector, read_photo
from dcgan.sampling.real_images import epoch_steps_of, open_training_images

NOISE_STEPS = 100  # until then, no generator drew a face


class Mode(NamedTuple):
    """A way to draw.

    Attributes:
      write: function of the options, the run directory and this Mode; draws and writes everything.
      prepare: function of the options, which it checks; returns a function that draws.
      name: what the names of files begin with.
      suffixes: those that a picture may have; the first is the usual one.
      flags: those that it uses; others would be ignored without a word, and are refused.
    """

    write: Callable
    prepare: Callable
    name: str
    suffixes: tuple
    flags: tuple


def sample(options, given):
    """Draws what the flags of sample.py ask for, and writes it.

    Args:
      options: an object with the flags as attributes, e.g. absl's FLAGS.
      given: names of the flags that were given.

    Raises:
      UserError: there is no such checkpoint, options contradict one another, or a file exists or cannot be written.
    """
    name = next((name for name in MODES if name.partition('=')[0] in given), 'faces')
    if name.startswith('film='):
        name = f'film={options.film}'
    elif name == 'faces' and options.out and is_folder(options.out) and options.checkpoint != 'all':
        name = 'files'
    mode = MODES[name]
    ignored = sorted(given & {flag for other in MODES.values() for flag in other.flags} - set(mode.flags))
    if ignored:
        raise UserError(f'--{ignored[0]} has no effect on {"faces" if mode.name == "faces" else f"--{name}"}, which '
                        f'uses {", ".join(f"--{flag}" for flag in mode.flags)}')
    if 'seeds' in given and 'seed' in given:
        raise UserError('--seeds and --seed cannot be combined')
    mode.write(options, None if options.model_dir is None else open_run(options.model_dir), mode)


# Writing: a picture from each checkpoint, a file for each face, a film of a run.


def _write_pictures(options, model_dir, mode):
    if options.checkpoint == 'all' and options.out and not is_folder(options.out):
        raise UserError(f'--checkpoint=all draws a picture for each checkpoint, but --out={options.out} is one '
                        'file; choose a folder, or make a film with --film=checkpoints')
    draw_picture = mode.prepare(options)
    found = find(model_dir, options.checkpoint)
    name = mode.name.format(photo=_photo_name(options.project))
    paths = {path: picture_path(options.out, model_dir or Path(), f'{name}-{label_of(path)}{_suffix(options)}',
                                mode.suffixes) for path in found}
    latents = [path.with_suffix(SUFFIX) for path in paths.values() if options.project is not None]
    refuse_to_overwrite([*paths.values(), *latents], options.overwrite)
    for checkpoint in read_all(found, options.weights):
        path = paths[checkpoint.path]
        with _open(options, checkpoint) as generator:
            write_output(path, draw_picture(generator, path), 'out')
        print(f'wrote       {path}')


def _write_faces(options, model_dir, mode):
    folder = local_path(options.out, 'out')
    seeds = mode.prepare(options)
    [path] = find(model_dir, options.checkpoint)
    if seeds.dtype == object:
        path_of_two, count = Counter(face_path(folder, seed) for seed in seeds).most_common(1)[0]
        if count > 1:
            raise UserError(f'{count} faces would be written to {path_of_two}; rename the saved latents')
    exists = np.array([os.path.lexists(face_path(folder, seed)) for seed in seeds])
    only = ('' if exists.all() or seeds.dtype == object else
            f'draw only the others with --seeds={format_seeds(seeds[~exists])}, ')
    refuse_to_overwrite([face_path(folder, seed) for seed in seeds[exists]], options.overwrite, only)
    with _open(options, read(path, options.weights)) as generator:
        remaining = iter(seeds)
        for pngs in generator.pngs(seeds):
            for content, seed in zip(pngs, remaining, strict=False):
                write_output(face_path(folder, seed), content, 'out')
    print(f'wrote       {len(seeds):,} files in {folder}, from {path}')


def _write_film(options, model_dir, mode):
    if options.checkpoint not in ('latest', 'all'):
        raise UserError(f'--film={options.film} shows a whole run; drop --checkpoint={options.checkpoint:.40}')
    if model_dir is None:
        raise UserError('--film shows a run; name its directory with --model_dir')
    path = picture_path(options.out, model_dir, f'{mode.name}{_suffix(options)}', mode.suffixes)
    refuse_to_overwrite([path], options.overwrite)
    frames = mode.prepare(options)(model_dir, epoch_steps_of(model_dir))
    write_output(path, film(*frames, path.suffix.lower()), 'out')
    print(f'wrote       {path}')


# Drawing: each function checks its options and returns what draws them.


def _grid(options):
    seeds, rows, columns = _layout(options)
    return lambda generator, path: png(draw.face_grid(generator, seeds, rows, columns))


def _files(options):
    return np.array(list(dict.fromkeys(_layout(options)[0].tolist())))  # a seed that is named twice is one file


def _interpolation(options):
    seeds = parse_seeds(options.interpolate, read_files=True)
    if len(seeds) < 2:
        raise UserError(f'--interpolate={options.interpolate} names one face; expected two or more, e.g. 7,100')
    return lambda generator, path: (
        draw.interpolation(generator, seeds, options.frames) if path.suffix.lower() == '.png' else
        film(*draw.walk_film(generator, seeds, options.frames), path.suffix.lower()))


def _arithmetic(options):
    terms = parse_sum(options.arithmetic, read_files=True)
    return lambda generator, path: draw.arithmetic(generator, terms)


def _projection(options):
    photo = local_path(options.project, 'project')
    try:
        encoded = read_file(photo, MAX_BYTES)
    except OSError as error:
        raise UserError(f'cannot read the photo {photo}: {reason_of(error)}; name an image file with --project'
                        ) from error

    def project(generator, path):
        try:
            pixels = read_photo(encoded, generator.checkpoint)
        except UserError as error:
            raise UserError(f'cannot project {photo}: {error}') from error
        with Projector(generator) as projector:
            found = projector.project(pixels)
        means = 'pixels and features' if projector.has_features else 'pixels alone: there is no discriminator'
        print(f'{photo.name}: root mean square difference {found.distance:.1f} gray levels (0 to 255); found by '
              f'{means}')
        write_output(path.with_suffix(SUFFIX), encode_latent(found.latent), 'out')
        print(f'wrote       {path.with_suffix(SUFFIX)}')
        return draw.projection(found, photo.name, options.scale)

    return project


def _neighbours(options):
    seeds = _seeds(options, 8)

    @functools.cache  # once for all checkpoints
    def training_images(run, size):
        return open_training_images(run, size, options.dataset_dir, options.cache_dir)

    def compare(generator, path):
        real_images = training_images(generator.checkpoint.run, generator.size)
        content, lines = draw.neighbours(generator, seeds, real_images, options.neighbours)
        print('nearest training images, with the root mean square difference in gray levels (0 to 255):', *lines,
              sep='\n')
        return content

    return compare


def _film_of_checkpoints(options):
    seeds, rows, columns = _layout(options)
    return lambda model_dir, epoch_steps: draw.film_of_checkpoints(
        (_open(options, checkpoint) for checkpoint in read_all(find(model_dir, 'all'), options.weights)),
        seeds, rows, columns, epoch_steps)


def _film_of_grids(options):
    return lambda model_dir, epoch_steps: draw.film_of_grids(model_dir, epoch_steps, options.scale)


# Options that several modes use.


def _layout(options):
    """Returns the seeds of a grid, its rows and its columns."""
    if options.grid is None:
        seeds = _seeds(options, 64)
        return seeds, *layout(len(seeds))
    match = re.fullmatch(r'([1-9]\d{0,5})x([1-9]\d{0,5})', options.grid, re.ASCII)
    if not match:
        raise UserError(f'invalid --grid={options.grid:.40}; expected rows x columns, e.g. 8x8')
    rows, columns = int(match[1]), int(match[2])
    seeds = _seeds(options, rows * columns)
    if len(seeds) > rows * columns:
        raise UserError(f'--grid={options.grid} has {rows * columns} cells, too few for {len(seeds)} faces')
    return seeds, rows, columns


def _seeds(options, count):
    """Returns the seeds that the flags name; by default, so many."""
    if options.seeds is not None:
        return parse_seeds(options.seeds, read_files=True)
    return parse_seeds(f'{options.seed}-{options.seed + (options.num_images or count) - 1}')


def _open(options, checkpoint):
    """Returns the TrainedGenerator of a checkpoint."""
    if checkpoint.step is not None and checkpoint.step < NOISE_STEPS:
        print(f'note        {checkpoint.path} has had {checkpoint.step} steps of training, and draws noise; faces '
              'form after some hundred steps')
    return TrainedGenerator(checkpoint, options.batch_norm, options.batch_size, options.scale)


def _photo_name(photo):
    """Returns the name of a photo in the names of its files; a sum could not name a file with spaces or signs."""
    return photo and safe_name(re.sub(r'[\s(),]+', '_', Path(photo).stem))


def _suffix(options):
    """Returns what the names of files end with if --weights was given."""
    return '' if options.weights == 'auto' else f'-{options.weights}'


PNG = ('.png',)
GENERATOR = ('weights', 'batch_norm', 'batch_size')
SEEDS = ('seeds', 'seed', 'num_images', *GENERATOR)
MODES = {
    'faces': Mode(_write_pictures, _grid, 'faces', PNG, (*SEEDS, 'grid', 'scale')),
    'files': Mode(_write_faces, _files, 'faces', PNG, (*SEEDS, 'grid', 'scale')),
    'interpolate': Mode(_write_pictures, _interpolation, 'interpolation', (*PNG, *VIDEO_SUFFIXES),
                        ('frames', 'scale', *GENERATOR)),
    'arithmetic': Mode(_write_pictures, _arithmetic, 'arithmetic', PNG, ('scale', *GENERATOR)),
    'project': Mode(_write_pictures, _projection, 'projection-{photo}', PNG, ('weights', 'batch_size', 'scale')),
    'neighbours': Mode(_write_pictures, _neighbours, 'neighbours', PNG, (*SEEDS, 'dataset_dir', 'cache_dir')),
    'film=checkpoints': Mode(_write_film, _film_of_checkpoints, 'progress', VIDEO_SUFFIXES, (*SEEDS, 'grid', 'scale')),
    'film=grids': Mode(_write_film, _film_of_grids, 'progress', VIDEO_SUFFIXES, ('scale',)),
}
