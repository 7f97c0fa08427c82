"""What sample.py draws, from its flags to the files."""

import functools
import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.folders import MAX_BYTES
from dcgan.errors import UserError, reason_of
from dcgan.files import local_path, read_file, safe_name, write_output
from dcgan.sampling import VIDEO_SUFFIXES, draw
from dcgan.sampling.checkpoint import find, label_of, open_run, read, read_all
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.latents import parse_sum
from dcgan.sampling.pictures import film, layout, png, require_library
from dcgan.sampling.projection import Projector, read_photo
from dcgan.sampling.real_images import epoch_steps_of, open_training_images
from dcgan.sampling.saved_latents import SUFFIX, SavedLatent, parse_points, write_latent
from dcgan.sampling.seeds import format_seeds, parse_seeds

SUFFIXES = {'faces': ('.png',), 'interpolation': ('.png', *VIDEO_SUFFIXES), 'arithmetic': ('.png',),
            'projection': ('.png',), 'neighbours': ('.png',), 'progress': VIDEO_SUFFIXES}
GENERATOR_FLAGS = ('weights', 'batch_norm', 'batch_size')
FACE_FLAGS = ('seeds', 'seed', 'num_images', *GENERATOR_FLAGS)
NOISE_STEPS = 100  # until then, no generator drew a face
# Which flags each kind of picture uses; others would be ignored without a word.
USED = {'faces': (*FACE_FLAGS, 'grid', 'scale'), 'interpolate': ('frames', 'scale', *GENERATOR_FLAGS),
        'arithmetic': ('scale', *GENERATOR_FLAGS),
        'project': ('weights', 'batch_size', 'scale'),
        'neighbours': (*FACE_FLAGS, 'dataset_dir', 'cache_dir'),
        'film=checkpoints': (*FACE_FLAGS, 'grid', 'scale'), 'film=grids': ('scale',)}


class SampleOptions(NamedTuple):
    """The flags of sample.py by name; ``given`` are the names of those that were given."""

    model_dir: str | None
    checkpoint: str
    weights: str
    dataset_dir: str | None
    cache_dir: str
    batch_norm: str
    batch_size: int
    out: str | None
    overwrite: bool
    num_images: int | None
    seed: int
    seeds: str | None
    grid: str | None
    scale: int
    interpolate: str | None
    frames: int
    arithmetic: str | None
    project: str | None
    film: str | None
    neighbours: int | None
    given: frozenset


def sample(options):
    """Draws what SampleOptions ask for, and writes it.

    Raises:
      UserError: there is no such checkpoint, options contradict one another, or a file exists or cannot be written.
    """
    _Request(options).draw()


class _Request:
    """The options, and what follows from them."""

    def __init__(self, options):
        self._options = options
        self._kind = next((name for name in ('interpolate', 'arithmetic', 'project', 'neighbours', 'film')
                           if name in options.given), 'faces')
        self._refuse_unused_flags()
        self._model_dir = None if options.model_dir is None else open_run(options.model_dir)

    def draw(self):
        options = self._options
        if self._kind == 'film':
            self._draw_film()
        elif self._kind == 'interpolate':
            seeds = parse_points(options.interpolate)
            if len(seeds) < 2:
                raise UserError(f'--interpolate={options.interpolate} names one face; expected two or more, e.g. 7,100')
            self._draw_pictures('interpolation', lambda generator, path: (
                draw.interpolation(generator, seeds, options.frames) if path.suffix.lower() == '.png' else
                film(*draw.walk_film(generator, seeds, options.frames), path.suffix.lower())))
        elif self._kind == 'arithmetic':
            terms = parse_sum(options.arithmetic, parse=parse_points)
            self._draw_pictures('arithmetic', lambda generator, path: draw.arithmetic(generator, terms))
        elif self._kind == 'project':
            self._draw_projection()
        elif self._kind == 'neighbours':
            seeds = self._seeds(8)
            self._draw_pictures('neighbours', lambda generator, path: self._neighbours(generator, seeds))
        elif options.out and _is_folder(options.out) and options.checkpoint != 'all':
            self._draw_files()
        else:
            layout = self._layout()
            self._draw_pictures('faces', lambda generator, path: png(draw.face_grid(generator, *layout)))

    def _refuse_unused_flags(self):
        kind = f'film={self._options.film}' if self._kind == 'film' else self._kind
        known = sorted({name for names in USED.values() for name in names})
        unused = [name for name in known if name in self._options.given and name not in USED[kind]]
        if unused:
            used = ', '.join(f'--{name}' for name in USED[kind])
            raise UserError(f'--{unused[0]} has no effect on {kind if kind == "faces" else f"--{kind}"}' + (
                f', which uses {used}' if used else ''))

    def _generator(self, checkpoint):
        if checkpoint.step is not None and checkpoint.step < NOISE_STEPS:
            print(f'note        {checkpoint.path} has had {checkpoint.step} steps of training, and draws noise; faces '
                  'form after some hundred steps')
        return TrainedGenerator(checkpoint, self._options.batch_norm, self._options.batch_size, self._options.scale)

    def _draw_pictures(self, kind, make, name=None, beside=()):
        """Draws a picture from each checkpoint.

        Args:
          kind: of the picture, a key of ``SUFFIXES``.
          make: takes a TrainedGenerator and the path of the picture; returns its content.
          name: what the name of a file begins with; None is ``kind``.
          beside: suffixes of the files that ``make`` writes beside it.
        """
        options = self._options
        is_all = options.checkpoint == 'all'
        if is_all and options.out and not _is_folder(options.out):
            raise UserError(f'--checkpoint=all draws a picture for each checkpoint, but --out={options.out} is one '
                            'file; choose a folder, or make a film with --film=checkpoints')
        found = find(self._model_dir, options.checkpoint)
        weights = '' if options.weights == 'auto' else f'-{options.weights}'
        paths = {path: self._path(kind, f'{name or kind}-{label_of(path)}{weights}') for path in found}
        self._refuse_to_overwrite([*paths.values(), *(path.with_suffix(suffix) for path in paths.values()
                                                      for suffix in beside)])
        for checkpoint in read_all(found, options.weights) if is_all else [read(found[0], options.weights)]:
            path = paths[checkpoint.path]
            with self._generator(checkpoint) as generator:
                write_output(path, make(generator, path), 'out')
            print(f'wrote       {path}')

    def _draw_files(self):
        folder = local_path(self._options.out, 'out')
        seeds = np.array(list(dict.fromkeys(self._layout()[0].tolist())))  # a seed that is named twice is one file
        [path] = find(self._model_dir, self._options.checkpoint)
        if seeds.dtype == object:
            face_path, count = Counter(_face_path(folder, seed) for seed in seeds).most_common(1)[0]
            if count > 1:
                raise UserError(f'{count} faces would be written to {face_path}; rename the saved latents')
        self._refuse_to_overwrite_faces(folder, seeds)
        with self._generator(read(path, self._options.weights)) as generator:
            done = 0
            for pngs in generator.pngs(seeds):
                for seed, content in zip(seeds[done:], pngs, strict=False):
                    write_output(_face_path(folder, seed), content, 'out')
                done += len(pngs)
        print(f'wrote       {done:,} files in {folder}, from {path}')

    def _draw_projection(self):
        photo = local_path(self._options.project, 'project')
        encoded = _read_file(photo)
        name = re.sub(r'[\s(),]+', '_', photo.stem)  # a sum could not name it

        def make(generator, path):
            try:
                pixels = read_photo(encoded, generator.checkpoint)
            except UserError as error:
                raise UserError(f'cannot project {photo}: {error}') from error
            with Projector(generator) as projector:
                found = projector.project(pixels)
            means = 'pixels and features' if projector.has_features else 'pixels alone: there is no discriminator'
            print(f'{photo.name}: root mean square difference {found.distance:.1f} gray levels (0 to 255); found by '
                  f'{means}')
            write_latent(path.with_suffix(SUFFIX), found.latent)
            print(f'wrote       {path.with_suffix(SUFFIX)}')
            return draw.projection(found, photo.name, self._options.scale)

        self._draw_pictures('projection', make, f'projection-{safe_name(name)}', [SUFFIX])

    def _draw_film(self):
        options = self._options
        if options.checkpoint not in ('latest', 'all'):
            raise UserError(f'--film={options.film} shows a whole run; drop --checkpoint={options.checkpoint:.40}')
        if self._model_dir is None:
            raise UserError('--film shows a run; name its directory with --model_dir')
        path = self._path('progress', 'progress' + ('' if options.weights == 'auto' else f'-{options.weights}'))
        self._refuse_to_overwrite([path])
        epoch_steps = epoch_steps_of(self._model_dir)
        if options.film == 'grids':
            frames = draw.film_of_grids(self._model_dir, epoch_steps, options.scale)
        else:
            generators = map(self._generator, read_all(find(self._model_dir, 'all'), options.weights))
            frames = draw.film_of_checkpoints(generators, *self._layout(), epoch_steps)
        write_output(path, film(*frames, path.suffix.lower()), 'out')
        print(f'wrote       {path}')

    def _neighbours(self, generator, seeds):
        real_images = self._training_images(generator.checkpoint.run, generator.size)
        content, lines = draw.neighbours(generator, seeds, real_images, self._options.neighbours)
        print('nearest training images, with the root mean square difference in gray levels (0 to 255):', *lines,
              sep='\n')
        return content

    @functools.lru_cache(maxsize=1)  # noqa: B019 - once for all checkpoints; a request lives as long as the process
    def _training_images(self, run, size):
        return open_training_images(run, size, self._options.dataset_dir, self._options.cache_dir)

    def _layout(self):
        """Returns the seeds of a grid, its rows and its columns."""
        text = self._options.grid
        if text is None:
            seeds = self._seeds(64)
            return seeds, *layout(len(seeds))
        match = re.fullmatch(r'([1-9]\d{0,5})x([1-9]\d{0,5})', text, re.ASCII)
        if not match:
            raise UserError(f'invalid --grid={text:.40}; expected rows x columns, e.g. 8x8')
        rows, columns = int(match[1]), int(match[2])
        seeds = self._seeds(rows * columns)
        if len(seeds) > rows * columns:
            raise UserError(f'--grid={text} has {rows * columns} cells, too few for {len(seeds)} faces')
        return seeds, rows, columns

    def _seeds(self, count):
        """Returns the seeds that the flags name; by default, so many."""
        options = self._options
        if options.seeds is None:
            return parse_seeds(f'{options.seed}-{options.seed + (options.num_images or count) - 1}')
        if 'seed' in options.given:
            raise UserError('--seeds and --seed cannot be combined')
        return parse_points(options.seeds)

    def _path(self, kind, name):
        """Returns where a picture goes."""
        suffixes, out = SUFFIXES[kind], self._options.out
        if out and not _is_folder(out):
            path = local_path(out, 'out')
        else:
            path = (local_path(out, 'out') if out else self._model_dir or Path()) / f'{name}{suffixes[0]}'
        if path.suffix.lower() not in suffixes:
            raise UserError(f'--out={out} ends in {path.suffix}; expected {", ".join(suffixes)}, or / for a folder')
        require_library(path.suffix.lower())
        return path

    def _refuse_to_overwrite(self, paths):
        existing = [str(path) for path in paths if os.path.lexists(path)]
        if existing and not self._options.overwrite:
            raise UserError(f'{", ".join(existing)} exists; add --overwrite, or choose another --out')

    def _refuse_to_overwrite_faces(self, folder, seeds):
        exists = np.array([os.path.lexists(_face_path(folder, seed)) for seed in seeds])
        if exists.any() and not self._options.overwrite:
            missing = '' if exists.all() or seeds.dtype == object else (
                f', or draw only the others with --seeds={format_seeds(seeds[~exists])}')
            raise UserError(f'{exists.sum():,} of the {len(seeds):,} files exist in {folder}, e.g. '
                            f'{_face_path(folder, seeds[exists][0]).name}; add --overwrite, choose another --out'
                            f'{missing}')


def _is_folder(out):
    return out.endswith(('/', os.sep)) or Path(out).suffix == '' or os.path.isdir(local_path(out, 'out'))


def _face_path(folder, point):
    return folder / (f'{point}.png' if isinstance(point, SavedLatent) else f'seed-{point:07d}.png')


def _read_file(path):
    """Returns the bytes of an image file that --project names."""
    try:
        return read_file(path, MAX_BYTES)
    except OSError as error:
        raise UserError(f'cannot read the photo {path}: {reason_of(error)}; name an image file with --project'
                        ) from error
