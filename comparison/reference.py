"""The facts of the article's graph: ``reference/``, as TensorFlow 1.15.5 wrote it from the article's code."""

import json
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.checkpoints import UNREADABLE
from runtime.errors import RunError, reason_of

REFERENCE = Path(__file__).parent.parent / 'reference'
CONFIGS = {'full': (), 'small': ('batch_size', 's_size', 'z_dim', 'g_depths', 'd_depths')}  # what each is built with


class Facts(NamedTuple):
    """What a graph is made of.

    Attributes:
      config: arguments of ``model.DCGAN``; none for the article's own size.
      variables: {name: (shape, whether it is trained)}, in their order.
      collections: {name: length}.
      g_variables, d_variables: names of the variables of each network, in their order.
      g_parameters, d_parameters: how many numbers they hold.
      endpoints: {name of an op: its type and the shapes of its outputs, in words}.
    """

    config: dict
    variables: dict
    collections: dict
    g_variables: list
    d_variables: list
    g_parameters: int
    d_parameters: int
    endpoints: dict


class Reference(NamedTuple):
    """All that ``reference/`` holds.

    Attributes:
      full, small: the Facts of the article's size, and of a small graph that the numbers are of.
      numbers: {name: array}, what was fed and what came out (``reference/numbers.npz``).
      checkpoint: the path of the variables that the numbers start from, for ``tf.train.Saver``.
      start, end: {name: array}, these variables, and those after five train steps.
    """

    full: Facts
    small: Facts
    numbers: dict
    checkpoint: str
    start: dict
    end: dict


def read_reference(folder=REFERENCE):
    """Reads the Reference in a folder, a Path.

    Raises:
      RunError: something of it is missing or damaged.
    """
    return Reference(**_read(folder / 'graph.json', _facts), numbers=_read(folder / 'numbers.npz', _numbers),
                     checkpoint=str(folder / 'start.ckpt'), start=_read(folder / 'start.ckpt', _variables),
                     end=_read(folder / 'end.ckpt', _variables))


def _read(path, read):
    try:
        return read(path)
    except (OSError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error, *UNREADABLE) as error:
        raise RunError(f'{path} cannot be read: {reason_of(error)}; it holds facts that only TensorFlow 1.15 can make, '
                       'so take it anew from where this project came from (git checkout -- reference, in a clone)'
                       ) from error


def _facts(path):
    of = json.loads(path.read_text())
    return {name: Facts({key: of[name]['config'][key] for key in keys},
                        {variable: (shape, is_trained) for variable, shape, is_trained in of[name]['variables']},
                        *(of[name][field] for field in Facts._fields[2:-1]),
                        {op: f'{kind} {shapes}' for op, kind, shapes in of[name]['endpoints']})
            for name, keys in CONFIGS.items()}


def _numbers(path):
    with np.load(path) as arrays:
        return {name: arrays[name] for name in (
            'z', 'images_uint8', 'generated', 'generated_inference', 'g_logits', 't_logits', 'g_gradient_norms',
            'd_gradient_norms', 'g_loss', 'd_loss', 'generated_after')}


def _variables(path):
    reader = tf.train.load_checkpoint(str(path))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
