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
      checkpoint: path of the smaller graph's variables at the start, for ``tf.train.Saver``.
      graphs: {'full', 'small': (arguments of ``model.DCGAN``, ``facts``)}, the article's graph and a smaller one.
      numbers: {name: array}, inputs and outputs of the smaller graph (``reference/numbers.npz``).
      start, end: {name: array}, its variables at the start and after five train steps.
    """

    checkpoint: str
    graphs: dict
    numbers: dict
    start: dict
    end: dict


def read_reference(folder=REFERENCE):
    """Returns the Reference in a folder, a Path.

    Raises:
      UserError: a file is missing or damaged.
    """
    contents = []
    for name, read in READERS.items():
        try:
            contents.append(read(folder / name))
        except Exception as error:  # a damaged file can raise anything
            reason = error if isinstance(error, UserError) else f'cannot read {folder / name}: {reason_of(error)}'
            raise UserError(f'{reason}; restore it (git checkout -- reference); TensorFlow 1.15 wrote it') from error
    return Reference(str(folder / 'start.ckpt'), *contents)


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


def _read_graphs(path):
    graphs = json.loads(path.read_text())
    return {part: (graphs[part].get('config', {}), facts(graphs[part])) for part in ('full', 'small')}


def _read_variables(path):
    return CheckpointReader(path).read_all()


READERS = {'graph.json': _read_graphs, 'numbers.npz': lambda path: dict(np.load(path)), 'start.ckpt': _read_variables,
           'end.ckpt': _read_variables}
