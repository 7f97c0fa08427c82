"""The graph of a run: input pipeline, the article's model, and what the article lacks.

That is ``global_step``, the updates of batch normalization's moving averages, the moving average of the generator's
weights, the sample grid, and what several workers exchange.
"""

from typing import NamedTuple

import tensorflow.compat.v1 as tf

from data.stream import stream
from dcgan.cpu_kernels import cpu_kernels
from dcgan.runs.checkpoints import EMA_SUFFIX
from dcgan.sampling.generator import to_uint8
from dcgan.sampling.latents import seed_latents
from dcgan.training.initialization import initialize_from
from dcgan.training.optimizers import make_optimizers
from model import DCGAN

GRID = 8, 8  # rows and columns of images


class TrainGraph(NamedTuple):
    """What a session runs.

    Attributes:
      dcgan: the model.
      train_op: one step.
      metrics: {'step': steps done after ``train_op``, 'g_loss', 'd_loss', 'spread'}, scalars to fetch with it. The
        spread is the standard deviation of a pixel over the generated images of the batch, relative to the real ones.
      samples: a PNG of the faces of seeds 0 to 63, those that sample.py draws, as a string scalar.
      start: gives all workers the chief's variables, and initializes the input pipeline at ``global_step``.
    """

    dcgan: DCGAN
    train_op: tf.Operation
    metrics: dict
    samples: tf.Tensor
    start: tf.Operation


def build_graph(config, images, cluster, init_checkpoint=None):
    """Builds the graph of a run in the current default graph.

    Args:
      config: a Config.
      images: uint8 [n, image_size, image_size, 3], n at least ``batch_size`` times the number of workers.
      cluster: a SingleWorker or Cluster.
      init_checkpoint: Path of a checkpoint whose weights are the initial ones; None initializes them at random.

    Returns:
      A TrainGraph.

    Raises:
      UserError: that checkpoint does not fit.
    """
    tf.set_random_seed(config.seed)
    global_step = tf.train.get_or_create_global_step()
    dcgan = DCGAN(config.batch_size, config.s_size, config.z_dim, config.g_depths, config.d_depths,
                  _latents(config, global_step, cluster))
    with tf.control_dependencies(cluster.broadcast([global_step])):
        batches = tf.data.make_initializable_iterator(
            stream(images, config.batch_size, config.seed, global_step, cluster.rank, cluster.world_size,
                   config.mirror))
    reals = batches.get_next()
    with cpu_kernels():
        losses = dcgan.loss(reals)
    if init_checkpoint is not None:
        initialize_from(init_checkpoint)
    train_op = _train_op(config, dcgan, losses, cluster)
    with tf.control_dependencies([train_op]):
        step = global_step.read_value()
    latents = seed_latents(tf.range(GRID[0] * GRID[1], dtype=tf.int64), config.z_dim)
    generated = tf.get_default_graph().get_tensor_by_name('g/tanh/outputs:0')
    metrics = cluster.all_reduce_mean([losses[dcgan.g], losses[dcgan.d], _spread(generated, reals)])
    metrics = dict(zip(('g_loss', 'd_loss', 'spread'), metrics, strict=True), step=step)
    samples = sample_grid(dcgan.g, latents, *GRID)
    start = tf.group(batches.initializer, *cluster.broadcast(tf.global_variables()))
    return TrainGraph(dcgan, train_op, metrics, samples, start)


def sample_grid(generator, latents, rows, columns):
    """Draws a grid of images, normalized with the statistics of this batch, as in the article.

    It is drawn from the moving averages of the generator's weights if the run keeps them.

    Args:
      generator: a Generator that was called before.
      latents: float32 [rows * columns, z_dim].
      rows, columns: of the grid.

    Returns:
      String scalar, a PNG.
    """
    updates = tf.get_collection_ref(tf.GraphKeys.UPDATE_OPS)
    count = len(updates)
    with cpu_kernels(), tf.variable_scope(tf.get_variable_scope(), custom_getter=_ema_getter()):
        images = generator(latents, training=True)
    del updates[count:]  # drawing samples must not move the averages
    images = tf.unstack(to_uint8(images), num=rows * columns)
    lines = [tf.concat(images[columns * row:columns * (row + 1)], axis=1) for row in range(rows)]
    return tf.image.encode_png(tf.concat(lines, axis=0))


def _latents(config, global_step, cluster):
    """Returns this worker's slice of the latents of a step: a function of the seed and ``global_step``."""
    z = tf.random.stateless_uniform([config.batch_size * cluster.world_size, config.z_dim], [config.seed, global_step],
                                    minval=-1.0, maxval=1.0)
    return z[cluster.rank * config.batch_size:(cluster.rank + 1) * config.batch_size]


def _train_op(config, dcgan, losses, cluster):
    """Returns the op of one step: the article's ``train``, and what follows from it."""
    train = dcgan.train(losses, optimizers=make_optimizers(config, cluster))
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    if cluster.world_size > 1:
        updates = _average_moving(updates, cluster)
    with tf.control_dependencies([train, *updates]):
        train_op = tf.assign_add(tf.train.get_global_step(), 1)
    if config.ema_decay is not None:
        ema = tf.train.ExponentialMovingAverage(config.ema_decay, num_updates=train_op)
        with tf.control_dependencies([train_op]):
            train_op = ema.apply(dcgan.g.variables)
    return tf.group(train_op)


def _average_moving(updates, cluster):
    """Returns ops that set batch normalization's moving averages, once updated, to their means over all workers."""
    moving = [variable for variable in tf.global_variables()
              if variable.op.name.endswith(('/moving_mean', '/moving_variance'))]
    with tf.control_dependencies(updates):
        means = cluster.all_reduce_mean([variable.read_value() for variable in moving])
    return [variable.assign(mean).op for variable, mean in zip(moving, means, strict=True)]


def ema_variables():
    """Returns {name of a variable: the variable that holds its moving average}; {} if none are kept."""
    return {variable.op.name.removesuffix(EMA_SUFFIX): variable for variable in tf.global_variables()
            if variable.op.name.endswith(EMA_SUFFIX)}


def _ema_getter():
    """Returns a custom getter that replaces variables by their moving averages; None if none are kept."""
    averages = ema_variables()

    def get(getter, name, *args, **kwargs):
        return averages[name] if name in averages else getter(name, *args, **kwargs)

    return get if averages else None


def _spread(generated, reals):
    """Returns the root mean square over pixels of their standard deviation, of generated images divided by real ones.

    It is 1 where all real images are the same.
    """
    ours, theirs = (tf.sqrt(tf.reduce_mean(tf.math.reduce_variance(images, axis=0))) for images in (generated, reals))
    return tf.where(theirs > 0, ours / theirs, 1.0)
