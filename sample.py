"""Draws faces from the checkpoint of a run.

    python sample.py                                                             # a grid, from the pretrained generator
    python sample.py --model_dir=runs/demo_faces                                 # from the newest checkpoint of a run
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

import functools
import math
import os
import re
from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf
from absl import app, flags

from data.errors import DataError
from data.pack import CACHE_DIR
from runtime.errors import RunError
from runtime.files import write_output
from sampling import draw
from sampling.checkpoint import WEIGHTS, WEIGHTS_HELP, find, name_of, open_run, read, read_all
from sampling.generator import BATCH_NORMS, TrainedGenerator
from sampling.latents import parse_sum
from sampling.pictures import FILMS, png, require_library
from sampling.reals import epoch_steps_of, open_training_images
from sampling.seeds import parse_seeds, write_seeds

FLAGS = flags.FLAGS

flags.DEFINE_string('model_dir', None, 'The run directory that train.py made. Unset: the pretrained generator.')
flags.DEFINE_string('checkpoint', 'latest', 'latest; a step; all, a picture for each that is kept; or the path of one.')
flags.DEFINE_string('out', None, 'A picture (.png, of walks .gif or .mp4, too), or a folder: of a file for each face, '
                    'with --checkpoint=all of a grid for each checkpoint. Unset: a picture in --model_dir, or in the '
                    'current folder where there is none.')
flags.DEFINE_bool('overwrite', False, 'Write over files that exist.')
flags.DEFINE_integer('num_images', None, 'How many faces, of the seeds from --seed on. Unset: as many as --grid has '
                     'places; with --neighbours 8.', lower_bound=1)
flags.DEFINE_integer('seed', 0, 'The first seed where --seeds does not say which.', lower_bound=0)
flags.DEFINE_string('seeds', None, 'The seeds of the faces, as 7,100-163.')
flags.DEFINE_string('grid', None, 'Rows x columns of a grid. Unset: about as many of both; 8x8 of 64.')
flags.DEFINE_enum('batch_norm', 'population', BATCH_NORMS, 'Which mean and variance batch normalisation takes. '
                  'population: those of many fixed latents, so that a face is the same whatever is drawn with it. '
                  'batch: as the article does, those of the images drawn with it, at most --batch_size at once. '
                  'moving: the moving averages of training, which lag behind the generator.')
flags.DEFINE_enum('weights', 'auto', WEIGHTS, WEIGHTS_HELP)
flags.DEFINE_integer('batch_size', 128, 'Images drawn at once, at the most.', lower_bound=1)
flags.DEFINE_string('interpolate', None, 'Walk between the latents of these seeds, as 7,100,31.')
flags.DEFINE_integer('frames', 16, 'Images of each walk, from one seed to the next.', lower_bound=2)
flags.DEFINE_string('arithmetic', None, 'Sum of latents, as "mean(7,9,12) - mean(3,4) + mean(20,21)".')
flags.DEFINE_enum('film', None, ['checkpoints', 'grids'], 'A film of training: the same faces from all checkpoints, '
                  'or the grids that the run drew.')
flags.DEFINE_integer('neighbours', None, 'Beside each face, show so many of the nearest training images.',
                     lower_bound=1)
flags.DEFINE_string('dataset_dir', None, 'Where the training images are. Unset: where they were.')
flags.DEFINE_string('cache_dir', CACHE_DIR, 'Where the packs of decoded images are kept.')

SUFFIXES = {'faces': ('.png',), 'interpolation': ('.png', *FILMS), 'arithmetic': ('.png',), 'neighbours': ('.png',),
            'progress': FILMS}
OF_GENERATOR = ('weights', 'batch_norm', 'batch_size')
OF_FACES = ('seeds', 'seed', 'num_images', *OF_GENERATOR)
# Which flags go with what is drawn; others would be ignored in silence.
TAKEN = {'faces': (*OF_FACES, 'grid'), 'interpolate': ('frames', *OF_GENERATOR), 'arithmetic': OF_GENERATOR,
         'neighbours': (*OF_FACES, 'dataset_dir', 'cache_dir'),
         'film=checkpoints': (*OF_FACES, 'grid'), 'film=grids': ()}


def sample():
    """Draws what the flags ask for, and writes it.

    Raises:
      DataError: the training images cannot be used.
      RunError: there is no such checkpoint, a flag says what cannot be, or a file is in the way or cannot be written.
    """
    what = next((name for name in ('interpolate', 'arithmetic', 'neighbours', 'film') if FLAGS[name].present), 'faces')
    _refuse_flags_not_taken(f'film={FLAGS.film}' if what == 'film' else what)
    model_dir = None if FLAGS.model_dir is None else open_run(FLAGS.model_dir)
    if what == 'film':
        _draw_film(model_dir)
    elif what == 'interpolate':
        seeds = parse_seeds(FLAGS.interpolate)
        if len(seeds) < 2:
            raise RunError(f'--interpolate={FLAGS.interpolate} names one seed; a walk is from one to another, as 7,100')
        _draw_pictures(model_dir, 'interpolation', lambda generator, suffix: draw.interpolation(
            generator, seeds, FLAGS.frames, suffix))
    elif what == 'arithmetic':
        terms = parse_sum(FLAGS.arithmetic)
        _draw_pictures(model_dir, 'arithmetic', lambda generator, suffix: draw.arithmetic(generator, terms))
    elif what == 'neighbours':
        seeds = _seeds(8)
        _draw_pictures(model_dir, 'neighbours', lambda generator, suffix: _neighbours(generator, seeds))
    elif FLAGS.out and _is_folder(FLAGS.out) and FLAGS.checkpoint != 'all':
        _draw_files(model_dir)
    else:
        layout = _layout()
        _draw_pictures(model_dir, 'faces', lambda generator, suffix: png(draw.face_grid(generator, *layout)))


def _refuse_flags_not_taken(what):
    known = sorted({name for names in TAKEN.values() for name in names})
    others = [name for name in known if FLAGS[name].present and name not in TAKEN[what]]
    if others:
        taken = ', '.join(f'--{name}' for name in TAKEN[what])
        raise RunError(f'--{others[0]} says nothing of {what if what == "faces" else f"--{what}"}' + (
            f', which takes {taken}' if taken else ''))


def _draw_pictures(model_dir, what, make):
    """Draws a picture from each checkpoint that is meant; ``make`` takes a TrainedGenerator and a suffix."""
    is_all = FLAGS.checkpoint == 'all'
    if is_all and FLAGS.out and not _is_folder(FLAGS.out):
        raise RunError(f'--checkpoint=all draws a picture for each checkpoint, and --out={FLAGS.out} is one file; it '
                       'takes a folder, or --film=checkpoints makes a film')
    found = find(model_dir, FLAGS.checkpoint)
    paths = {checkpoint: _path(model_dir, what, f'{what}-{name_of(checkpoint)}{_kind()}') for checkpoint in found}
    _refuse_to_overwrite(paths.values())
    for trained in read_all(found, FLAGS.weights) if is_all else [read(found[0], FLAGS.weights)]:
        path = paths[trained.path]
        with TrainedGenerator(trained, FLAGS.batch_norm, FLAGS.batch_size) as generator:
            write_output(path, make(generator, path.suffix.lower()), 'out')
        print(f'drew        {path}')


def _draw_files(model_dir):
    folder = _expanded(FLAGS.out)
    seeds = np.array(list(dict.fromkeys(_layout()[0].tolist())))  # a seed that is named twice is one file
    [checkpoint] = find(model_dir, FLAGS.checkpoint)
    _refuse_to_overwrite_faces(folder, seeds)
    with TrainedGenerator(read(checkpoint, FLAGS.weights), FLAGS.batch_norm, FLAGS.batch_size) as generator:
        done = 0
        for pngs in generator.pngs(seeds):
            for seed, content in zip(seeds[done:], pngs, strict=False):
                write_output(_face_path(folder, seed), content, 'out')
            done += len(pngs)
    print(f'drew        {done:,} files in {folder}, from {checkpoint}')


def _draw_film(model_dir):
    if FLAGS.checkpoint not in ('latest', 'all'):
        raise RunError(f'--film={FLAGS.film} goes through all of a run, not --checkpoint={FLAGS.checkpoint}')
    if model_dir is None:
        raise RunError('--film is of a run: --model_dir=DIR names its directory')
    path = _path(model_dir, 'progress', f'progress{_kind()}')
    _refuse_to_overwrite([path])
    suffix, epoch_steps = path.suffix.lower(), epoch_steps_of(model_dir)
    if FLAGS.film == 'grids':
        content = draw.film_of_grids(model_dir, epoch_steps, suffix)
    else:
        content = draw.film_of_checkpoints(read_all(find(model_dir, 'all'), FLAGS.weights), *_layout(),
                                           FLAGS.batch_norm, FLAGS.batch_size, epoch_steps, suffix)
    write_output(path, content, 'out')
    print(f'drew        {path}')


def _neighbours(generator, seeds):
    reals = _training_images(generator.trained.source, generator.size)
    content, lines = draw.neighbours(generator, seeds, reals.pack.images, reals.names, FLAGS.neighbours)
    print('nearest     by the root mean square of the differences, in grey levels of 255', *lines, sep='\n')
    return content


@functools.cache
def _training_images(run, size):
    return open_training_images(run, size, FLAGS.dataset_dir, FLAGS.cache_dir)  # once for all checkpoints


def _layout():
    """Returns the seeds of a grid, its rows and its columns."""
    if FLAGS.grid is None:
        seeds = _seeds(64)
        columns = math.ceil(math.sqrt(len(seeds)))
        return seeds, math.ceil(len(seeds) / columns), columns
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', FLAGS.grid, re.ASCII)
    if not match:
        raise RunError(f'--grid={FLAGS.grid} is no grid; rows x columns are, as 8x8')
    rows, columns = int(match[1]), int(match[2])
    seeds = _seeds(rows * columns)
    if len(seeds) > rows * columns:
        raise RunError(f'--grid={FLAGS.grid} has {rows * columns} places, too few for {len(seeds)} faces')
    return seeds, rows, columns


def _seeds(count):
    """Returns the seeds that the flags name; so many, where they do not say how many."""
    if FLAGS.seeds is None:
        return parse_seeds(f'{FLAGS.seed}-{FLAGS.seed + (FLAGS.num_images or count) - 1}')
    if FLAGS['seed'].present:
        raise RunError('--seeds and --seed both say which faces; one of them does')
    return parse_seeds(FLAGS.seeds)


def _expanded(path):
    return Path(os.path.expanduser(path))


def _is_folder(out):
    return out.endswith('/') or Path(out).suffix == '' or os.path.isdir(_expanded(out))


def _kind():
    return '' if FLAGS.weights == 'auto' else f'-{FLAGS.weights}'


def _path(model_dir, what, name):
    """Returns where a picture goes."""
    suffixes = SUFFIXES[what]
    if FLAGS.out and not _is_folder(FLAGS.out):
        path = _expanded(FLAGS.out)
    else:
        path = (_expanded(FLAGS.out) if FLAGS.out else model_dir or Path()) / f'{name}{suffixes[0]}'
    if path.suffix.lower() not in suffixes:
        raise RunError(f'--out={FLAGS.out} ends in {path.suffix}; here it can end in {", ".join(suffixes)}, or in / '
                       'for a folder')
    require_library(path.suffix.lower())
    return path


def _face_path(folder, seed):
    return folder / f'seed-{seed:07d}.png'


def _refuse_to_overwrite(paths):
    there = [str(path) for path in paths if os.path.lexists(path)]
    if there and not FLAGS.overwrite:
        raise RunError(f'{", ".join(there)} exists; --overwrite writes over it, --out names another place')


def _refuse_to_overwrite_faces(folder, seeds):
    is_there = np.array([os.path.lexists(_face_path(folder, seed)) for seed in seeds])
    if is_there.any() and not FLAGS.overwrite:
        others = '' if is_there.all() else f', --seeds={write_seeds(seeds[~is_there])} draws the others'
        raise RunError(f'{is_there.sum():,} of the {len(seeds):,} files exist in {folder}, as '
                       f'{_face_path(folder, seeds[is_there][0]).name}; --overwrite writes over them, --out names '
                       f'another folder{others}')


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f'{argv[1]} is not expected: all that can be said is said by flags, as --model_dir=DIR')
    tf.logging.set_verbosity(tf.logging.ERROR)
    with runtime.stop.answering('sample.py', DataError, RunError):
        sample()


flags.mark_flags_as_mutual_exclusive(['interpolate', 'arithmetic', 'film', 'neighbours'])
flags.mark_flags_as_mutual_exclusive(['seeds', 'num_images'])


if __name__ == '__main__':
    app.run(main)
