"""The generator in formats that run without this project."""

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tensorflow.compat.v1 as tf

from runtime.errors import RunError, reason_of
from runtime.files import cannot_be_written, write_output
from sampling.checkpoint import exported
from sampling.population import population
from sampling.reals import config_of

SUFFIXES = {'saved_model': '', 'onnx': '.onnx', 'tflite': '.tflite', 'npz': '.npz'}  # of what is written
TFLITE = '''
import tensorflow as tf

converter = tf.lite.TFLiteConverter.from_saved_model('saved', signature_keys=['serving_default'])
with open('generator.tflite', 'wb') as file:
    file.write(converter.convert())
'''  # in a process of its own, as it keeps signatures only where TensorFlow executes eagerly, not as TensorFlow 1


def require_converter(kind):
    """Asks for the library that a format takes, before anything is done.

    Raises:
      RunError: it is not installed.
    """
    if kind == 'onnx' and importlib.util.find_spec('tf2onnx') is None:
        raise RunError("ONNX is written by tf2onnx, which is not installed: pip install '.[onnx]' does that")


def export(generator, kind, path):
    """Writes a generator; where the process is ended meanwhile, there is nothing of that name, or what was before.

    Args:
      generator: a TrainedGenerator.
      kind: of ``SUFFIXES``.
      path: what is written, a Path: a folder for 'saved_model', a file for the others.

    Raises:
      RunError: it cannot be written.
    """
    if kind == 'saved_model':
        _write_saved_model(generator, path)
    else:
        write_output(path, {'onnx': _onnx, 'tflite': _tflite, 'npz': _npz}[kind](generator), 'out')


def _write_saved_model(generator, path):
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        generator.save(part)
        part.replace(path)
    except (OSError, tf.errors.OpError) as error:
        raise cannot_be_written(path, 'out', error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _npz(generator):
    trained = generator.trained
    return exported(trained, population(trained), config_of(trained.source))


def _onnx(generator):
    import tf2onnx.convert  # an extra: nothing else takes it

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
            raise RunError(f'{folder} cannot be written: {reason_of(error)}; TMPDIR in the environment names another '
                           'place for temporary files') from error
        converted = subprocess.run([sys.executable, '-c', TFLITE], cwd=folder, capture_output=True, text=True,
                                   check=False)
        if converted.returncode:
            last = (converted.stderr.strip().splitlines() or [f'exit status {converted.returncode}'])[-1]
            raise RunError(f"TensorFlow Lite's converter failed: {last}")
        return Path(folder, 'generator.tflite').read_bytes()
