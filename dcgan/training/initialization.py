"""Starts a run from the weights of another checkpoint."""

from pathlib import Path

import tensorflow.compat.v1 as tf

from dcgan.errors import UserError
from dcgan.runs.checkpoints import CheckpointReader
from dcgan.sampling.generator_checkpoint import find, open_run


def find_init_checkpoint(path):
    """Returns the Path of the checkpoint that --init_checkpoint names: that one or, of a run, the newest.

    Raises:
      UserError: there is none, or it is an exported generator.
    """
    [found] = find(open_run(path), 'latest') if path.is_dir() else find(Path(), str(path))
    if found.suffix == '.npz':
        raise UserError(f'{found} is an exported generator; --init_checkpoint needs both networks, as the checkpoints '
                        'of a run hold them')
    return found


def initialize_from(path):
    """Initializes the variables of both networks in the default graph from a checkpoint.

    The optimizers and ``global_step`` start as in any run. The checkpoint may be from this project, or from the article
    under TensorFlow 1.

    Args:
      path: a Path, as TensorFlow has it.

    Raises:
      UserError: it cannot be read, or its variables do not fit.
    """
    variables = {variable.op.name: variable for variable in tf.global_variables()
                 if variable.op.name.startswith(('g/', 'd/'))}
    CheckpointReader(path).read(
        {name: variable.shape.as_list() for name, variable in variables.items()}, 'both networks of this run',
        remedy='; use the --g_depths, --d_depths, --image_size and --z_dim that it was trained with')
    tf.train.init_from_checkpoint(str(path), variables)
