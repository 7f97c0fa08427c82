"""The generator in formats that run without this project, and in one file that this project reads."""

import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import tensorflow.compat.v1 as tf

from dcgan.errors import UserError
from dcgan.files import cannot_write, replacing
from dcgan.sampling.exported import write_exported
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.population import population_statistics
from dcgan.sampling.real_images import settings_of

TFLITE = '''
import sys
import tensorflow as tf

converter = tf.lite.TFLiteConverter.from_saved_model(sys.argv[1], signature_keys=['serving_default'])
with open(sys.argv[2], 'wb') as file:
    file.write(converter.convert())
'''  # in its own process: it keeps signatures only where TensorFlow runs eagerly, not as TensorFlow 1


def export(generator, format, path):
    """Writes a generator, atomically.

    Args:
      generator: a TrainedGenerator.
      format: a key of ``sampling.EXPORT_SUFFIXES``.
      path: a Path, of a folder for 'saved_model', of a file for the others.

    Raises:
      UserError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            WRITERS[format](generator, part)
    except (OSError, UnicodeError, tf.errors.OpError) as error:
        raise cannot_write(path, 'out', error) from error


def _write_npz(generator, path):
    checkpoint = generator.checkpoint
    write_exported(path, checkpoint, population_statistics(checkpoint), settings_of(checkpoint.run))


def _write_onnx(generator, path):
    import tf2onnx.convert  # an extra

    logging.getLogger('tf2onnx').setLevel(logging.WARNING)
    model, _ = tf2onnx.convert.from_graph_def(
        generator.frozen(), input_names=['z:0'], output_names=['images:0'],
        tensors_to_rename={'z:0': 'z', 'images:0': 'images'})
    path.write_bytes(model.SerializeToString())


def _write_tflite(generator, path):
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        saved = Path(folder, 'saved')
        generator.save(saved)
        converted = subprocess.run([sys.executable, '-c', TFLITE, saved, path], capture_output=True, text=True,
                                   check=False)
    if converted.returncode:
        raise UserError(f"TensorFlow Lite's converter failed: {converted.stderr[-1000:].strip()}")


WRITERS = {'saved_model': TrainedGenerator.save, 'onnx': _write_onnx, 'tflite': _write_tflite, 'npz': _write_npz}
