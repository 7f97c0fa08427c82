"""Draws faces from the checkpoint of a run.

    python sample.py --model_dir=runs/demo_faces                                 # a grid, from the newest checkpoint
    python sample.py --model_dir=runs/demo_faces --checkpoint=all                # a grid of each, of the same latents
    python sample.py --model_dir=runs/demo_faces --num_images=1000 --out=faces/  # a file for each face
    python sample.py --model_dir=runs/demo_faces --seeds=7,100-163               # the faces of these seeds
    python sample.py --model_dir=runs/demo_faces --interpolate=7,100,31 --out=walk.gif
    python sample.py --model_dir=runs/demo_faces --arithmetic="mean(7,9,12) - mean(3,4) + mean(20,21)"
    python sample.py --model_dir=runs/demo_faces --film=grids                    # how training went
    python sample.py --model_dir=runs/demo_faces --neighbours=5                  # the nearest training images
    python sample.py --checkpoint=reference/end.ckpt                             # one that TensorFlow 1 wrote

A seed is one face, whatever is drawn with it. How the generator is built is read off the checkpoint; no flag of
training is needed again.
"""

import runtime.stop  # first: it sets what TensorFlow reads when it is loaded, which takes seconds

if __name__ == '__main__':
    runtime.stop.leave_on_signals('stopped; what was written is whole')

# isort: split

import math
import os
import re
from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf
from absl import app, flags

from data.errors import DataError
from data.pack import make_pack
from data.source import open_source
from data.stream import steps_per_epoch
from runtime.errors import RunError, reason_of
from runtime.files import write_whole
from runtime.run_directory import RunDirectory
from sampling import draw
from sampling.checkpoint import find, name_of, read
from sampling.generator import BATCH_NORMS, TrainedGenerator
from sampling.latents import parse_sum
from sampling.pictures import FILMS, grid, require
from sampling.seeds import parse_seeds, write_seeds

FLAGS = flags.FLAGS

flags.DEFINE_string('model_dir', None, 'The directory of the run, as train.py left it.')
flags.DEFINE_string('checkpoint', 'latest', 'latest; a step; all, a picture for each that is kept; or the path of one.')
flags.DEFINE_string('out', None, 'A picture (.png, of walks .gif or .mp4, too), or a folder of one file for each face. '
                    'Unset: a picture in --model_dir, or in the current folder where there is none.')
flags.DEFINE_bool('overwrite', False, 'Write over files that exist.')
flags.DEFINE_integer('num_images', None, 'How many faces, of the seeds from --seed on. Unset: as many as --grid has '
                     'places; with --neighbours 8.', lower_bound=1)
flags.DEFINE_integer('seed', 0, 'The first seed where --seeds does not say which.', lower_bound=0)
flags.DEFINE_string('seeds', None, 'The seeds of the faces, as 7,100-163.')
flags.DEFINE_string('grid', None, 'Rows x columns of a grid. Unset: about as many of both; 8x8 of 64.')
flags.DEFINE_enum('batch_norm', 'population', BATCH_NORMS, 'Which mean and variance batch normalisation takes. '
                  'population: those of many fixed latents, so that a face is the same whatever is drawn with it. '
                  "batch: as the article does, of the images drawn with it, --batch_size at once. moving: training's "
                  'moving averages, which lag behind the generator.')
flags.DEFINE_integer('batch_size', 128, 'Images drawn at once, at the most.', lower_bound=1)
flags.DEFINE_string('interpolate', None, 'Walk between the latents of these seeds, as 7,100,31.')
flags.DEFINE_integer('frames', 16, 'Images of each walk, from one seed to the next.', lower_bound=2)
flags.DEFINE_string('arithmetic', None, 'Sum of latents, as "mean(7,9,12) - mean(3,4) + mean(20,21)".')
flags.DEFINE_enum('film', None, ['checkpoints', 'grids'], 'A film of training: the same faces from all checkpoints, '
                  'or the grids that the run drew.')
flags.DEFINE_integer('neighbours', None, 'Beside each face, show so many of the nearest training images.',
                     lower_bound=1)
flags.DEFINE_string('dataset_dir', None, 'Where the training images are. Unset: where they were.')
flags.DEFINE_string('cache_dir', os.path.join(os.environ.get('XDG_CACHE_HOME') or '~/.cache', 'dcgan-faces'),
                    'Where the packs of decoded images are kept.')

MOST_PIXELS = 1 << 27  # of a grid: 32,768 faces of 64x64
SUFFIXES = {'faces': ('.png',), 'interpolation': ('.png', *FILMS), 'arithmetic': ('.png',), 'neighbours': ('.png',),
            'progress': FILMS}


def sample():
    """Draws what the flags ask for, and writes it.

    Raises:
      DataError: the training images cannot be used.
      RunError: there is no such checkpoint, a flag says what cannot be, or a file is in the way or cannot be written.
    """
    if FLAGS.film:
        _draw_film()
    elif FLAGS.interpolate is not None:
        seeds = parse_seeds(FLAGS.interpolate)
        if len(seeds) < 2:
            raise RunError(f'--interpolate={FLAGS.interpolate} names one seed; a walk is from one to another, as 7,100')
        _draw_pictures('interpolation', lambda generator, suffix: draw.interpolation(
            generator, seeds, FLAGS.frames, suffix))
    elif FLAGS.arithmetic is not None:
        terms = parse_sum(FLAGS.arithmetic)
        _draw_pictures('arithmetic', lambda generator, suffix: draw.arithmetic(generator, terms))
    elif FLAGS.neighbours:
        seeds = _seeds(8)
        _draw_pictures('neighbours', lambda generator, suffix: _neighbours(generator, seeds))
    elif FLAGS.out and _is_folder(FLAGS.out) and FLAGS.checkpoint != 'all':
        _draw_files(_seeds(64))
    else:
        rows, columns = _places()
        seeds = _seeds(rows * columns)
        if FLAGS.grid is None:
            columns = math.ceil(math.sqrt(len(seeds)))
            rows = math.ceil(len(seeds) / columns)
        elif len(seeds) > rows * columns:
            raise RunError(f'--grid={FLAGS.grid} has {rows * columns} places, too few for {len(seeds)} faces')
        _draw_pictures('faces', lambda generator, suffix: _grid(generator, seeds, rows, columns))


def _draw_pictures(what, make):
    """Draws a picture from each checkpoint that is meant; ``make`` takes a TrainedGenerator and a suffix."""
    if FLAGS.checkpoint == 'all' and FLAGS.out and not _is_folder(FLAGS.out):
        raise RunError(f'--checkpoint=all draws a picture for each checkpoint, and --out={FLAGS.out} is one file; it '
                       'takes a folder, or --film=checkpoints makes a film')
    found = find(FLAGS.model_dir, FLAGS.checkpoint)
    paths = [_path(what, f'{what}-{name_of(checkpoint)}') for checkpoint in found]
    _refuse_to_overwrite(paths)
    for checkpoint, path in zip(found, paths, strict=True):
        with TrainedGenerator(read(checkpoint), FLAGS.batch_norm, FLAGS.batch_size) as generator:
            _write(path, make(generator, path.suffix))
        print(f'drew        {path}')


def _draw_files(seeds):
    folder = Path(FLAGS.out).expanduser()
    [checkpoint] = find(FLAGS.model_dir, FLAGS.checkpoint)
    _refuse_to_overwrite_faces(folder, seeds)
    with TrainedGenerator(read(checkpoint), FLAGS.batch_norm, FLAGS.batch_size) as generator:
        done = 0
        for pngs in generator.pngs(seeds):
            for seed, content in zip(seeds[done:], pngs, strict=False):
                _write(_face_path(folder, seed), content)
            done += len(pngs)
    print(f'drew        {done:,} faces, {_face_path(folder, seeds[0])} and so on, from {checkpoint}')


def _draw_film():
    if FLAGS.checkpoint not in ('latest', 'all'):
        raise RunError(f'--film={FLAGS.film} goes through all of a run, not --checkpoint={FLAGS.checkpoint}')
    if FLAGS.model_dir is None:
        raise RunError('--film is of a run: --model_dir=DIR names its directory')
    path = _path('progress', 'progress')
    _refuse_to_overwrite([path])
    config = _config()
    epoch_steps = (steps_per_epoch(config['images'], config['batch_size'])
                   if {'images', 'batch_size'} <= config.keys() else None)
    if FLAGS.film == 'grids':
        content = draw.film_of_grids(_model_dir(), epoch_steps, path.suffix)
    else:
        rows, columns = _places()
        content = draw.film_of_checkpoints(
            find(FLAGS.model_dir, 'all'), _seeds(rows * columns), rows, columns,
            {'batch_norm': FLAGS.batch_norm, 'batch_size': FLAGS.batch_size}, epoch_steps, path.suffix)
    _write(path, content)
    print(f'drew        {path}')


def _grid(generator, seeds, rows, columns):
    if rows * columns * generator.size ** 2 > MOST_PIXELS:
        raise RunError(f'a grid of {rows} x {columns} faces of {generator.size}x{generator.size} is too large for one '
                       'picture; --out=faces/ writes a file for each')
    return grid(generator.images(seeds), rows, columns)


def _neighbours(generator, seeds):
    pack, names = _training_images(generator.size)
    content, lines = draw.neighbours(generator, seeds, pack, names, FLAGS.neighbours)
    print('nearest     by the root mean square of the differences, in grey levels of 255', *lines, sep='\n')
    return content


def _training_images(size):
    """Returns the pack of the images that the run was trained on, and their names."""
    config = _config()
    if not config and FLAGS.dataset_dir is None:
        raise RunError('nothing says on which images this was trained; --dataset_dir=PATH does')
    try:
        source = open_source(config['dataset_dir'] if FLAGS.dataset_dir is None else FLAGS.dataset_dir)
    except DataError as error:
        raise DataError(f'{error}. --dataset_dir says where the training images are now') from error
    pack = make_pack(source, config.get('crop', 'auto'), size, FLAGS.cache_dir)
    if pack.crc32 != config.get('images_crc32', pack.crc32):
        raise DataError(f'the {len(pack.images):,} images of {source.name} are not those that the run was '
                        'trained on; --dataset_dir says where those are')
    return pack.images, [name for name in source.names if name not in pack.broken]


def _config():
    """Returns config.json of the run; {} where there is none, as beside checkpoints of TensorFlow 1."""
    is_there = FLAGS.model_dir is not None and (_model_dir() / 'config.json').exists()
    return RunDirectory(FLAGS.model_dir).read_config() if is_there else {}


def _model_dir():
    return Path(FLAGS.model_dir).expanduser()


def _places():
    """Returns the rows and columns of --grid."""
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', FLAGS.grid or '8x8', re.ASCII)
    if not match:
        raise RunError(f'--grid={FLAGS.grid} is no grid; rows x columns are, as 8x8')
    return int(match[1]), int(match[2])


def _seeds(count):
    """Returns the seeds that the flags name; so many, where they do not say how many."""
    if FLAGS.seeds is not None:
        return parse_seeds(FLAGS.seeds)
    return parse_seeds(f'{FLAGS.seed}-{FLAGS.seed + (FLAGS.num_images or count) - 1}')


def _is_folder(out):
    return out.endswith('/') or Path(out).suffix == '' or Path(out).expanduser().is_dir()


def _path(what, name):
    """Returns where a picture goes."""
    suffixes = SUFFIXES[what]
    if FLAGS.out is None or _is_folder(FLAGS.out):
        path = Path(FLAGS.out or FLAGS.model_dir or '.').expanduser() / f'{name}{suffixes[0]}'
    else:
        path = Path(FLAGS.out).expanduser()
    if path.suffix.lower() not in suffixes:
        raise RunError(f'--out={FLAGS.out} ends in {path.suffix}; here it can end in {", ".join(suffixes)}, or in / '
                       'for a folder')
    if path.parent.is_file():
        raise RunError(f'{path.parent} is a file, and no folder for {path.name}; --out names another place')
    require(path.suffix)
    return path


def _face_path(folder, seed):
    return folder / f'seed-{seed:07d}.png'


def _refuse_to_overwrite(paths):
    there = [str(path) for path in paths if path.exists()]
    if there and not FLAGS.overwrite:
        raise RunError(f'{", ".join(there)} exists; --overwrite writes over it, --out names another place')


def _refuse_to_overwrite_faces(folder, seeds):
    is_there = np.array([_face_path(folder, seed).exists() for seed in seeds])
    if is_there.any() and not FLAGS.overwrite:
        others = '' if is_there.all() else f', --seeds={write_seeds(seeds[~is_there])} draws the others'
        raise RunError(f'{is_there.sum():,} of the {len(seeds):,} files exist in {folder}, as '
                       f'{_face_path(folder, seeds[is_there][0]).name}; --overwrite writes over them, --out names '
                       f'another folder{others}')


def _write(path, content):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise RunError(f'{path} cannot be written: {reason_of(error)}; --out names another place') from error


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f'{argv[1]} is not expected: all that can be said is said by flags, as --model_dir=DIR')
    tf.logging.set_verbosity(tf.logging.ERROR)
    with runtime.stop.answering('sample.py', DataError, RunError):
        sample()


flags.mark_flags_as_mutual_exclusive(['interpolate', 'arithmetic', 'film', 'neighbours'])
flags.mark_flags_as_mutual_exclusive(['seeds', 'num_images', 'interpolate', 'arithmetic'])


if __name__ == '__main__':
    app.run(main)
