"""Exports the generator of a checkpoint: as a SavedModel, for ONNX or TensorFlow Lite, or to one .npz file.

    python export.py --out=faces                                                    # the pretrained generator
    python export.py --model_dir=runs/demo_faces --out=faces                        # a SavedModel, a folder
    python export.py --model_dir=runs/demo_faces --out=generator.onnx --format=onnx
    python export.py --model_dir=runs/demo_faces --out=generator.tflite --format=tflite
    python export.py --model_dir=runs/demo_faces --out=generator.npz --format=npz   # for sample.py --checkpoint

The first three formats run without this project: they turn latents z, float32 [n, z_dim], into the images, uint8
[n, size, size, 3], that sample.py draws. The SavedModel also takes seeds, int64 [n].
"""

import os
from pathlib import Path

from absl import flags

from dcgan import cli
from dcgan.errors import UserError
from dcgan.files import cannot_write, define_path
from dcgan.sampling import EXPORT_SUFFIXES

FLAGS = flags.FLAGS

cli.define_generator_flags('latest, best (by train.py --evaluate_steps), a step, or the path of a checkpoint.')
flags.DEFINE_enum('format', 'saved_model', list(EXPORT_SUFFIXES), 'File format.')
define_path('out', None, 'Output: a folder for a SavedModel; for other formats, a file or a folder for it.')


def main():
    """Exports what the flags say."""
    from dcgan.sampling.export import export, require_converter
    from dcgan.sampling.generator import TrainedGenerator
    from dcgan.sampling.generator_checkpoint import find, open_run, read

    path = _output_path()
    require_converter(FLAGS.format)
    model_dir = None if FLAGS.model_dir is None else open_run(FLAGS.model_dir)
    if FLAGS.checkpoint == 'all':
        raise UserError('--checkpoint=all names several; export one: latest, best or a step')
    [checkpoint] = find(model_dir, FLAGS.checkpoint)
    with TrainedGenerator(read(checkpoint, FLAGS.weights)) as generator:
        export(generator, FLAGS.format, path)
    print(f'wrote       {path}, the generator of {checkpoint}')


def _output_path():
    """Returns --out, or generator.onnx or the like in it."""
    if not FLAGS.out:
        raise UserError('--out=PATH is required')
    path = Path(os.path.abspath(FLAGS.out))
    suffix, ending = EXPORT_SUFFIXES[FLAGS.format], path.suffix.lower()
    if ending and ending != suffix and ending in EXPORT_SUFFIXES.values():
        raise UserError(f'--out={FLAGS.out} ends in {ending}, which --format={FLAGS.format} does not write')
    if ending != suffix and suffix:
        path /= f'generator{suffix}'
    try:
        exists = os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir()))
    except OSError as error:
        raise cannot_write(path, 'out', error) from error
    if exists or path == Path.cwd():  # the shell is in it
        raise UserError(f'{path} exists; remove it, or choose another --out')
    return path


if __name__ == '__main__':
    cli.run(main, '--model_dir=DIR', 'stopped; nothing is half-written')
