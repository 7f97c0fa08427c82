"""Takes the generator of a checkpoint elsewhere: as a SavedModel, in ONNX, for TensorFlow Lite, or in one .npz.

    python export.py --out=faces                                                         # the pretrained generator
    python export.py --model_dir=runs/demo_faces --out=faces                             # a SavedModel, a folder
    python export.py --model_dir=runs/demo_faces --out=faces/generator.onnx --format=onnx
    python export.py --model_dir=runs/demo_faces --out=faces/generator.tflite --format=tflite
    python export.py --model_dir=runs/demo_faces --out=faces/generator.npz --format=npz  # for sample.py --checkpoint

The first three draw without this project: from latents z, float32 [n, z_dim], the images, uint8 [n, size, size, 3],
that sample.py draws; the SavedModel from seeds, int64 [n], too.
"""

import runtime.stop  # first: it sets what TensorFlow reads when it is loaded, which takes seconds

if __name__ == '__main__':
    runtime.stop.leave_on_signals('stopped; what was written is whole')

# isort: split

import os
from pathlib import Path

import tensorflow.compat.v1 as tf
from absl import app, flags

from runtime.errors import RunError
from runtime.files import cannot_be_written
from sampling.checkpoint import WEIGHTS, WEIGHTS_HELP, find, open_run, read
from sampling.export import SUFFIXES, export, require_converter
from sampling.generator import TrainedGenerator

FLAGS = flags.FLAGS

flags.DEFINE_string('model_dir', None, 'The run directory that train.py made. Unset: the pretrained generator.')
flags.DEFINE_string('checkpoint', 'latest', 'latest; a step; or the path of one.')
flags.DEFINE_enum('weights', 'auto', WEIGHTS, WEIGHTS_HELP)
flags.DEFINE_enum('format', 'saved_model', list(SUFFIXES),
                  'What is written. npz: weights and statistics in one file, which --checkpoint of sample.py takes.')
flags.DEFINE_string('out', None, 'Where: a folder; with other formats a file, or a folder for it.')


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f'{argv[1]} is not expected: all that can be said is said by flags, as --model_dir=DIR')
    tf.logging.set_verbosity(tf.logging.ERROR)
    with runtime.stop.answering('export.py', RunError):
        path = _path()
        require_converter(FLAGS.format)
        model_dir = None if FLAGS.model_dir is None else open_run(FLAGS.model_dir)
        if FLAGS.checkpoint == 'all':
            raise RunError('--checkpoint=all names several; one is exported, latest or that of a step')
        [checkpoint] = find(model_dir, FLAGS.checkpoint)
        with TrainedGenerator(read(checkpoint, FLAGS.weights)) as generator:
            export(generator, FLAGS.format, path)
        print(f'wrote       {path}, the generator of {checkpoint}')


def _path():
    """Returns where it goes: --out, or generator.onnx or the like in it."""
    if not FLAGS.out:
        raise RunError('--out=PATH says where it goes')
    path = Path(os.path.abspath(os.path.expanduser(FLAGS.out)))
    suffix, ending = SUFFIXES[FLAGS.format], path.suffix.lower()
    if ending and ending != suffix and ending in SUFFIXES.values():
        raise RunError(f'--out={FLAGS.out} ends in {ending}, which --format={FLAGS.format} does not write')
    if ending != suffix and suffix:
        path /= f'generator{suffix}'
    try:
        is_there = os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir()))
    except OSError as error:
        raise cannot_be_written(path, 'out', error) from error
    if is_there or path == Path.cwd():  # which cannot be replaced under a shell's feet
        raise RunError(f'{path} exists; remove it, or --out names another place')
    return path


if __name__ == '__main__':
    app.run(main)
