"""What sample.py draws: a table of modes, and how the pictures of a mode are drawn and written."""

import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.listing import MAX_BYTES
from dcgan.errors import UserError, reason_of
from dcgan.files import read_file, safe_name, write_output
from dcgan.sampling import VIDEO_SUFFIXES, draw
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import find, label_of, open_run, read_all
from dcgan.sampling.latents import SUFFIX, SavedLatent, encode_latent, parse_seeds, parse_sum
from dcgan.sampling.pictures import enlarge, film, layout, png
from dcgan.sampling.projection import project, read_photo
from dcgan.sampling.real_images import epoch_steps_of, open_training_images


class Mode(NamedTuple):
    """A way to draw.

    Attributes:
      write: function of the options, the run and this Mode; draws and writes everything.
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
    name = next((name for name in MODES if name in given | {f'film={options.film}'}), 'faces')
    mode = MODES[name]
    ignored = sorted(given & {flag for other in MODES.values() for flag in other.flags} - set(mode.flags))
    if ignored:
        raise UserError(f'--{ignored[0]} has no effect on {name if name == "faces" else f"--{name}"}, which uses '
                        f'{", ".join(f"--{flag}" for flag in mode.flags)}')
    mode.write(options, open_run(options.model_dir, options.pretrained), mode)


# Writing: a picture from each checkpoint, or a file for each face, or a film of a run.


def _write_pictures(options, run, mode):
    if options.checkpoint == 'all' and options.out and not _is_folder(options.out):
        raise UserError('--checkpoint=all needs a folder as --out; or make a film with --film=checkpoints')
    draw_picture = mode.prepare(options)
    # A sum could not name the file of a latent with spaces or signs.
    name = mode.name.format(photo=options.project and safe_name(re.sub(r'[\s(),]+', '_', Path(options.project).stem)))
    paths = {path: _picture_path(options, run, f'{name}-{label_of(path)}', mode)
             for path in find(run, options.checkpoint)}
    latents = [path.with_suffix(SUFFIX) for path in paths.values() if options.project is not None]
    _refuse_to_overwrite(options, [*paths.values(), *latents])
    for checkpoint in read_all(list(paths), options.weights):
        path = paths[checkpoint.path]
        with _open(options, checkpoint, options.scale) as generator:
            write_output(path, draw_picture(generator, path), 'out')
        print(f'wrote       {path}')


def _write_faces(options, run, mode):
    if options.checkpoint == 'all' or not (options.out and _is_folder(options.out)):
        _write_pictures(options, run, mode)
        return
    folder = options.out
    seeds = np.array(list(dict.fromkeys(_layout(options)[0].tolist())))  # a seed that is named twice is one file
    paths = [folder / (f'{seed}.png' if isinstance(seed, SavedLatent) else f'seed-{seed:07d}.png') for seed in seeds]
    if len(set(paths)) < len(paths):
        raise UserError('two saved latents have one name, and their faces would have one file; rename a latent')
    _refuse_to_overwrite(options, paths)
    [checkpoint] = read_all(find(run, options.checkpoint), options.weights)
    remaining = iter(paths)
    with _open(options, checkpoint, scale=1) as generator:
        for images in generator.batches(seeds):
            for image in images:  # a batch of enlarged ones may not fit in memory
                write_output(next(remaining), png(enlarge(image[None], options.scale)[0]), 'out')
    print(f'wrote       {len(paths):,} files in {folder}, from {checkpoint.path}')


def _write_film(options, run, mode):
    if options.checkpoint not in ('latest', 'all'):
        raise UserError(f'--film={options.film} shows a whole run; drop --checkpoint={options.checkpoint:.40}')
    if not run.is_dir():
        raise UserError('--film shows a run; name its directory with --model_dir')
    path = _picture_path(options, run, mode.name, mode)
    _refuse_to_overwrite(options, [path])
    frames = mode.prepare(options)(run, epoch_steps_of(run))
    write_output(path, film(*frames, path.suffix.lower()), 'out')
    print(f'wrote       {path}')


def _picture_path(options, run, name, mode):
    """Returns the Path of a picture: --out, or a file of that name in it or, without it, in the run directory."""
    path = options.out or (run if run.is_dir() else Path())
    if not options.out or _is_folder(options.out):
        path /= f'{name}{"" if options.weights == "auto" else f"-{options.weights}"}{mode.suffixes[0]}'
    suffix = path.suffix.lower()
    if suffix not in mode.suffixes:
        raise UserError(f'--out={options.out} must end in {", ".join(mode.suffixes)}; a folder has no suffix')
    if suffix == '.mp4' and importlib.util.find_spec('av') is None:
        raise UserError("an .mp4 needs PyAV, which is not installed; pip install '.[video]', or write a .gif")
    return path


def _is_folder(out):
    """Returns whether --out names a folder: one that exists, or a name without a suffix."""
    return not out.suffix or os.path.isdir(out)


def _refuse_to_overwrite(options, paths):
    existing = [path for path in paths if os.path.lexists(path)]
    if existing and not options.overwrite:
        found = f'{existing[0]} exists' if len(existing) == 1 else f'{len(existing):,} files exist, e.g. {existing[0]}'
        raise UserError(f'{found}; add --overwrite, or choose another --out')


# Drawing: each function checks its options and returns what draws them.


def _grid(options):
    seeds, rows, columns = _layout(options)
    return lambda generator, path: png(draw.face_grid(generator, seeds, rows, columns))


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
    photo = options.project
    try:
        encoded = read_file(photo, MAX_BYTES)
    except OSError as error:
        raise UserError(f'cannot read the photo {photo}: {reason_of(error)}; name an image file with --project'
                        ) from error

    def draw_projection(generator, path):
        found = project(generator, read_photo(encoded, generator.checkpoint))
        means = 'pixels and features' if found.by_features else 'pixels alone: there is no discriminator'
        print(f'{photo.name}: root mean square difference {found.distance:.1f} gray levels (0 to 255); found by '
              f'{means}')
        write_output(path.with_suffix(SUFFIX), encode_latent(found.latent), 'out')
        print(f'wrote       {path.with_suffix(SUFFIX)}')
        return draw.projection(found, photo.name, options.scale)

    return draw_projection


def _neighbours(options):
    seeds = _seeds(options, 8)

    def compare(generator, path):
        run, size = generator.checkpoint.run, generator.size
        real_images = open_training_images(run, size, options.dataset_dir, options.cache_dir)
        content, lines = draw.neighbours(generator, seeds, real_images, options.neighbours)
        print('nearest training images, with the root mean square difference in gray levels (0 to 255):', *lines,
              sep='\n')
        return content

    return compare


def _film_of_checkpoints(options):
    seeds, rows, columns = _layout(options)
    return lambda run, epoch_steps: draw.film_of_checkpoints(
        (_open(options, checkpoint, options.scale) for checkpoint in read_all(find(run, 'all'), options.weights)),
        seeds, rows, columns, epoch_steps)


def _film_of_grids(options):
    return lambda run, epoch_steps: draw.film_of_grids(run, epoch_steps, options.scale)


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
    first = options.seed or 0
    return parse_seeds(f'{first}-{first + (options.num_images or count) - 1}')


def _open(options, checkpoint, scale):
    """Returns the TrainedGenerator of a checkpoint."""
    return TrainedGenerator(checkpoint, options.batch_norm, options.batch_size, scale)


PNG = ('.png',)
GENERATOR = ('weights', 'batch_norm', 'batch_size')
SEEDS = ('seeds', 'seed', 'num_images', *GENERATOR)
MODES = {
    'faces': Mode(_write_faces, _grid, 'faces', PNG, (*SEEDS, 'grid', 'scale')),
    'interpolate': Mode(_write_pictures, _interpolation, 'interpolation', (*PNG, *VIDEO_SUFFIXES),
                        ('frames', 'scale', *GENERATOR)),
    'arithmetic': Mode(_write_pictures, _arithmetic, 'arithmetic', PNG, ('scale', *GENERATOR)),
    'project': Mode(_write_pictures, _projection, 'projection-{photo}', PNG, ('weights', 'batch_size', 'scale')),
    'neighbours': Mode(_write_pictures, _neighbours, 'neighbours', PNG, (*SEEDS, 'dataset_dir', 'cache_dir')),
    'film=checkpoints': Mode(_write_film, _film_of_checkpoints, 'progress', VIDEO_SUFFIXES, (*SEEDS, 'grid', 'scale')),
    'film=grids': Mode(_write_film, _film_of_grids, 'progress', VIDEO_SUFFIXES, ('scale',)),
}
