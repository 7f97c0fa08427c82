"""The generator in formats that run without this project, and in one file that this project reads."""

import importlib.util
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import tensorflow.compat.v1 as tf

from dcgan.errors import UserError, reason_of
from dcgan.files import cannot_write, replacing, write_output
from dcgan.sampling.exported import export_npz
from dcgan.sampling.population import population_statistics
from dcgan.sampling.real_images import settings_of

TFLITE = '''
import tensorflow as tf

converter = tf.lite.TFLiteConverter.from_saved_model('saved', signature_keys=['serving_default'])
with open('generator.tflite', 'wb') as file:
    file.write(converter.convert())
'''  # in its own process: it keeps signatures only where TensorFlow runs eagerly, not as TensorFlow 1


def require_converter(format):
    """Checks that the library for a format is installed.

    Raises:
      UserError: it is not.
    """
    if format == 'onnx' and importlib.util.find_spec('tf2onnx') is None:
        raise UserError("--format=onnx needs tf2onnx, which is not installed; pip install '.[onnx]'")


def export(generator, format, path):
    """Writes a generator, atomically.

    Args:
      generator: a TrainedGenerator.
      format: a key of ``sampling.EXPORT_SUFFIXES``.
      path: a Path, of a folder for 'saved_model', of a file for the others.

    Raises:
      UserError: it cannot be written.
    """
    if format == 'saved_model':
        _write_saved_model(generator, path)
    else:
        write_output(path, {'onnx': _onnx, 'tflite': _tflite, 'npz': _npz}[format](generator), 'out')


def _write_saved_model(generator, path):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            path.rmdir()  # it is empty; Windows does not replace a folder
        with replacing(path) as part:
            generator.save(part)
    except (OSError, tf.errors.OpError) as error:
        raise cannot_write(path, 'out', error) from error


def _npz(generator):
    checkpoint = generator.checkpoint
    return export_npz(checkpoint, population_statistics(checkpoint), settings_of(checkpoint.run))


def _onnx(generator):
    import tf2onnx.convert  # an extra

    logging.getLogger('tf2onnx').setLevel(logging.WARNING)
    model, _ = tf2onnx.convert.from_graph_def(
        generator.frozen(), input_names=['z:0'], output_names=['images:0'],
        tensors_to_rename={'z:0': 'z', 'images:0': 'images'})
    return model.SerializeToString()


def _tflite(generator):
    with tempfile.TemporaryDirectory() as folder:
        try:
            generator.save(Path(folder, 'saved'))
        except (OSError, tf.errors.OpError) as error:
            raise UserError(f'cannot write {folder}: {reason_of(error)}; choose another place for temporary files with '
                            'the environment variable TMPDIR') from error
        converted = subprocess.run([sys.executable, '-c', TFLITE], cwd=folder, capture_output=True, text=True,
                                   check=False)
        if converted.returncode:
            last = (converted.stderr.strip().splitlines() or [f'exit status {converted.returncode}'])[-1]
            raise UserError(f"TensorFlow Lite's converter failed: {last}")
        return Path(folder, 'generator.tflite').read_bytes()
