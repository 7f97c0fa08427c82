"""Reads ``reference/``: the article's graph and numbers, which TensorFlow 1.15.5 wrote from the article's code."""

import json
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from dcgan.errors import UserError, reason_of
from dcgan.runs.checkpoints import UNREADABLE

REFERENCE = Path(__file__).parents[2] / 'reference'
CONFIGS = {'full': (), 'small': ('batch_size', 's_size', 'z_dim', 'g_depths', 'd_depths')}  # arguments of each DCGAN


class Facts(NamedTuple):
    """What a graph consists of.

    Attributes:
      config: arguments of ``model.DCGAN``; none for the article's size.
      variables: {name: (shape, whether it is trainable)}, in order.
      collections: {name: length}.
      g_variables, d_variables: names of the trainable variables of each network, in order.
      g_parameters, d_parameters: number of trainable parameters of each network.
      endpoints: {name of an op: its type and the shapes of its outputs, as text}.
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
    """Contents of ``reference/``.

    Attributes:
      full, small: Facts of the article's graph, and of a smaller one.
      numbers: {name: array}, inputs and outputs of the smaller graph (``reference/numbers.npz``).
      checkpoint: path of its variables at the start, for ``tf.train.Saver``.
      start, end: {name: array}, its variables at the start and after five train steps.
    """

    full: Facts
    small: Facts
    numbers: dict
    checkpoint: str
    start: dict
    end: dict


def read_reference(folder=REFERENCE):
    """Returns the Reference in a folder, a Path.

    Raises:
      UserError: a file is missing or damaged.
    """
    return Reference(**_read(folder / 'graph.json', _facts), numbers=_read(folder / 'numbers.npz', _numbers),
                     checkpoint=str(folder / 'start.ckpt'), start=_read(folder / 'start.ckpt', _variables),
                     end=_read(folder / 'end.ckpt', _variables))


def _read(path, read):
    try:
        return read(path)
    except (OSError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error, *UNREADABLE) as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}; restore it (git checkout -- reference), as only '
                        'TensorFlow 1.15 can write it') from error


def _facts(path):
    graphs = json.loads(path.read_text())
    return {name: Facts({key: graphs[name]['config'][key] for key in keys},
                        {variable: (shape, is_trained) for variable, shape, is_trained in graphs[name]['variables']},
                        *(graphs[name][field] for field in Facts._fields[2:-1]),
                        {op: f'{kind} {shapes}' for op, kind, shapes in graphs[name]['endpoints']})
            for name, keys in CONFIGS.items()}


def _numbers(path):
    with np.load(path) as arrays:
        return {name: arrays[name] for name in (
            'z', 'images_uint8', 'generated', 'generated_inference', 'g_logits', 't_logits', 'g_gradient_norms',
            'd_gradient_norms', 'g_loss', 'd_loss', 'generated_after')}


def _variables(path):
    reader = tf.train.load_checkpoint(str(path))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
