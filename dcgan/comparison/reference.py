"""Reads ``reference/``: the article's graph and numbers, which TensorFlow 1.15.5 wrote from the article's code."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dcgan.errors import UserError, reason_of
from dcgan.runs.checkpoints import CheckpointReader

REFERENCE = Path(__file__).parents[2] / 'reference'


class Reference(NamedTuple):
    """Contents of ``reference/``.

    Attributes:
      config: arguments of ``model.DCGAN`` for the smaller graph.
      full, small: ``facts`` of the article's graph, and of a smaller one.
      numbers: {name: array}, inputs and outputs of the smaller graph (``reference/numbers.npz``).
      checkpoint: path of its variables at the start, for ``tf.train.Saver``.
      start, end: {name: array}, its variables at the start and after five train steps.
    """

    config: dict
    full: dict
    small: dict
    numbers: dict
    checkpoint: str
    start: dict
    end: dict


def read_reference(folder=REFERENCE):
    """Returns the Reference in a folder, a Path.

    Raises:
      UserError: a file is missing or damaged.
    """
    start, end = folder / 'start.ckpt', folder / 'end.ckpt'
    return Reference(*_read(folder / 'graph.json', _graphs), _read(folder / 'numbers.npz', _numbers), str(start),
                     _read(start, _variables), _read(end, _variables))


def facts(graph):
    """Returns what a graph consists of, {check: {name: value}}, all in order.

    Args:
      graph: as ``graph.json`` describes one.
    """
    return {
        'variables': dict.fromkeys(name for name, _, _ in graph['variables']),
        'their shapes': {name: shape for name, shape, _ in graph['variables']},
        'which are trained': {name: is_trained for name, _, is_trained in graph['variables']},
        **{title: {**dict.fromkeys(graph[f'{key}_variables']), 'parameters': f'{graph[f"{key}_parameters"]:,}'}
           for key, title in (('g', 'generator'), ('d', 'discriminator'))},
        'collections': graph['collections'],
        'end points': {name: f'{kind} {shapes}' for name, kind, shapes in graph['endpoints']}}


def _read(path, read):
    try:
        return read(path)
    except Exception as error:  # a damaged file can raise anything
        reason = error if isinstance(error, UserError) else f'cannot read {path}: {reason_of(error)}'
        raise UserError(f'{reason}; restore it (git checkout -- reference), as only TensorFlow 1.15 can write it'
                        ) from error


def _graphs(path):
    graphs = json.loads(path.read_text())
    return graphs['small']['config'], facts(graphs['full']), facts(graphs['small'])


def _variables(path):
    return CheckpointReader(path).read_all()


def _numbers(path):
    with np.load(path) as arrays:
        return dict(arrays)
