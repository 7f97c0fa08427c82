"""Exports the generator of a checkpoint: as a SavedModel, for ONNX or TensorFlow Lite, or to one .npz file.

    python export.py --out=faces                                                    # the pretrained generator
    python export.py --model_dir=runs/demo_faces --out=faces                        # a SavedModel, a folder
    python export.py --model_dir=runs/demo_faces --out=generator.onnx --format=onnx
    python export.py --model_dir=runs/demo_faces --out=generator.tflite --format=tflite
    python export.py --model_dir=runs/demo_faces --out=generator.npz --format=npz   # for sample.py --checkpoint

The first three formats run without this project: they turn latents z, float32 [n, z_dim], into the images, uint8
[n, size, size, 3], that sample.py draws. The SavedModel also takes seeds, int64 [n].
"""

import importlib.util
import os
from pathlib import Path

from dcgan import cli
from dcgan.cli import FLAGS, flags
from dcgan.errors import UserError
from dcgan.files import define_path
from dcgan.sampling import EXPORT_SUFFIXES

cli.define_generator_flags('latest, best (by train.py --evaluate_steps), a step, or the path of a checkpoint.')
flags.DEFINE_enum('format', 'saved_model', list(EXPORT_SUFFIXES), 'File format.')
define_path('out', None, 'Output: a folder for a SavedModel; for other formats, a file or a folder for it.')


def main():
    """Exports what the flags say."""
    from dcgan.sampling.export import export
    from dcgan.sampling.generator import TrainedGenerator
    from dcgan.sampling.generator_checkpoint import find, open_run, read

    path = _output_path()
    if FLAGS.format == 'onnx' and importlib.util.find_spec('tf2onnx') is None:
        raise UserError("--format=onnx needs tf2onnx, which is not installed; pip install '.[onnx]'")
    run = open_run(FLAGS.model_dir, FLAGS.pretrained)
    if FLAGS.checkpoint == 'all':
        raise UserError('--checkpoint=all names several; export one: latest, best or a step')
    [checkpoint] = find(run, FLAGS.checkpoint)
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
    if os.path.lexists(path):
        raise UserError(f'{path} exists; remove it, or choose another --out')
    return path


if __name__ == '__main__':
    cli.run(main, '--model_dir=DIR', 'stopped; nothing is half-written')
