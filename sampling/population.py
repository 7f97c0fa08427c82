"""Population statistics: what batch normalisation takes for the mean and variance of all the images there could be.

The article normalises every image by the statistics of the batch that it is drawn in, so a face depends on those beside
it, and none can be drawn alone. Moving averages lag behind a generator that changes fast: after 100 steps of full size
they drew blank squares where batch statistics drew faces. So the statistics are estimated anew for a checkpoint, over
batches of fixed latents: the "precise batch normalisation" of Wu and Johnson, "Rethinking 'Batch' in BatchNorm" (2021).
"""

import io
import zipfile
import zlib

import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

from model import Generator
from runtime.errors import reason_of
from runtime.files import write_whole
from runtime.session import session_config
from sampling.checkpoint import load

# The article's batch. Eight times as many would change faces by 0.6 in 255 (full size, steps 100 and 620, the mean).
BATCHES, BATCH_SIZE = 4, 128
PROTOCOL = f'{BATCHES} batches of {BATCH_SIZE} latents, 1'  # what is kept was estimated so


def population(trained):
    """Returns the population statistics of a generator, {name of a moving average: float32 array}.

    They are kept beside the checkpoint, in NAME.population.npz or NAME.ema.population.npz, and found there if they are
    of these very weights.

    Args:
      trained: a Trained.
    """
    if trained.statistics:
        return trained.statistics
    kind = '' if trained.kind == 'trained' else f'.{trained.kind}'
    path = trained.path.with_name(f'{trained.path.name}{kind}.population.npz')
    made_of = f'{trained.digest} {PROTOCOL}'
    statistics = _load(path, made_of)
    if len(statistics) != 2 * len(trained.depths):
        statistics = _estimate(trained)
        content = io.BytesIO()
        np.savez(content, made_of=made_of, **statistics)
        try:
            write_whole(path, content.getvalue())
        except OSError as error:
            print(f'warning     {path} cannot be written: {reason_of(error)}; the population statistics are to be '
                  'estimated again next time')
    return statistics


def _load(path, made_of):
    """Returns the statistics that were kept; none where they are not of these weights, or cannot be read."""
    try:
        with np.load(path) as kept:
            if str(kept['made_of']) == made_of:
                return {name: kept[name] for name in kept if name != 'made_of'}
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile):  # damaged, foreign
        pass
    return {}


def _estimate(trained):
    with tf.Graph().as_default() as graph, tf.Session(config=session_config('float32')) as session:
        index = tf.placeholder(tf.int64, [])
        latents = tf.random.stateless_uniform([BATCH_SIZE, trained.z_dim], tf.stack([index, -3]), -1.0, 1.0,
                                              alg='philox')
        Generator(trained.depths, trained.s_size)(latents, training=True)
        load(session, trained.weights)
        layers = [op for op in graph.get_operations() if op.type.startswith('FusedBatchNorm')]
        batches = [session.run([layer.outputs[1:3] for layer in layers], {index: number})
                   for number in tqdm(range(BATCHES), desc='population statistics', unit=' batches')]
    statistics = {}
    for layer, of_batches in zip(layers, zip(*batches, strict=True), strict=True):
        means, variances = (np.stack(values).astype(np.float64) for values in zip(*of_batches, strict=True))
        scope = layer.name.rpartition('/')[0]
        statistics[f'{scope}/moving_mean'] = means.mean(axis=0).astype(np.float32)
        # The variance over all batches: that within them, and that between them.
        statistics[f'{scope}/moving_variance'] = (variances.mean(axis=0) + means.var(axis=0)).astype(np.float32)
    return statistics
