"""Population statistics: mean and variance of each batch normalization layer over many fixed latents.

The article normalizes every image by the statistics of its batch, so a face depends on the others and none can be drawn
alone. Moving averages lag behind a generator that changes fast: after 100 steps at full size they drew blank squares
where batch statistics drew faces. So the statistics are estimated for each checkpoint: "precise batch normalization",
Wu and Johnson, "Rethinking 'Batch' in BatchNorm" (2021).
"""

import numpy as np
import tensorflow.compat.v1 as tf

from dcgan.cpu_kernels import cpu_kernels
from dcgan.device import make_session_config
from dcgan.progress import Progress
from dcgan.sampling.array_cache import cached_arrays
from dcgan.sampling.generator_checkpoint import load
from model import Generator

# Batches of the article's size. Eight times as many change faces by 0.6 in 255 on average (full size, steps 100, 620).
BATCHES, BATCH_SIZE = 4, 128


def population_statistics(checkpoint):
    """Returns the population statistics of a generator, {name of a moving average: float32 array}.

    They are cached beside the checkpoint, in NAME.population.npz or NAME.ema.population.npz, with the digest of the
    weights.

    Args:
      checkpoint: a GeneratorCheckpoint.
    """
    made_of = f'{checkpoint.digest} {BATCHES} batches of {BATCH_SIZE} latents, 1'
    path = cached_statistics(checkpoint.path, checkpoint.weights)
    return checkpoint.statistics or cached_arrays(path, made_of, lambda: _estimate(checkpoint))


def cached_statistics(path, weights):
    """Returns the Path where the statistics of a checkpoint at a Path are cached."""
    suffix = '' if weights == 'trained' else f'.{weights}'
    return path.with_name(f'{path.name}{suffix}.population.npz')


def _estimate(checkpoint):
    with tf.Graph().as_default() as graph, tf.Session(config=make_session_config('float32')) as session:
        tf.set_random_seed(0)  # where ops are deterministic, initializers ask for one
        batch = tf.placeholder(tf.int64, [])
        latents = tf.random.stateless_uniform([BATCH_SIZE, checkpoint.z_dim], tf.stack([batch, -3]), -1.0, 1.0,
                                              alg='philox')
        with cpu_kernels():
            Generator(checkpoint.depths, checkpoint.s_size)(latents, training=True)
        load(session, checkpoint.variables)
        layers = [op for op in graph.get_operations() if op.type.startswith('FusedBatchNorm')]
        moments = [session.run([layer.outputs[1:3] for layer in layers], {batch: number})
                   for number in Progress('population statistics', BATCHES, 'batches').of(range(BATCHES))]
    statistics = {}
    for layer, of_layer in zip(layers, zip(*moments, strict=True), strict=True):
        means, variances = (np.stack(values).astype(np.float64) for values in zip(*of_layer, strict=True))
        scope = layer.name.rpartition('/')[0]
        statistics[f'{scope}/moving_mean'] = means.mean(axis=0).astype(np.float32)
        # The variance over all batches: that within them plus that between them.
        statistics[f'{scope}/moving_variance'] = (variances.mean(axis=0) + means.var(axis=0)).astype(np.float32)
    return statistics
