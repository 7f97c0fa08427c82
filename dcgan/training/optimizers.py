"""The optimizers of a run: Adam, wrapped for float16 and for several workers."""

import tensorflow.compat.v1 as tf


class AllReduceOptimizer(tf.train.Optimizer):
    """Averages the gradients over all workers before another optimizer applies them, as Horovod's does."""

    def __init__(self, optimizer, cluster):
        """Wraps an optimizer.

        Args:
          optimizer: a tf.train.Optimizer.
          cluster: the Cluster.
        """
        super().__init__(use_locking=False, name='AllReduce')
        self._optimizer = optimizer
        self._cluster = cluster

    def compute_gradients(self, *args, **kwargs):
        """Returns [(mean gradient, variable), ...]; same arguments as ``tf.train.Optimizer``."""
        gradients, variables = zip(*self._optimizer.compute_gradients(*args, **kwargs), strict=True)
        return list(zip(self._cluster.all_reduce_mean(list(gradients)), variables, strict=True))

    def apply_gradients(self, *args, **kwargs):
        """Applies gradients with the wrapped optimizer; same arguments as ``tf.train.Optimizer``."""
        return self._optimizer.apply_gradients(*args, **kwargs)


def make_optimizers(config, cluster):
    """Returns the generator's and the discriminator's optimizer, as ``DCGAN.train`` takes them.

    They are the article's Adam optimizers, with additions. ``d_learning_rate`` is the discriminator's ("two time-scale
    update rule", Heusel et al., 2017). In float16 the losses are scaled, and an update whose gradients are not finite
    is skipped ("Mixed precision training", Micikevicius et al., 2018). Several workers average their gradients.

    Args:
      config: a Config.
      cluster: a SingleWorker or Cluster.
    """
    rates = config.learning_rate, config.learning_rate if config.d_learning_rate is None else config.d_learning_rate
    optimizers = [tf.train.AdamOptimizer(learning_rate=rate, beta1=config.beta1) for rate in rates]
    if config.precision == 'float16':
        optimizers = [tf.mixed_precision.MixedPrecisionLossScaleOptimizer(optimizer, 'dynamic')
                      for optimizer in optimizers]
    if cluster.world_size > 1:
        optimizers = [AllReduceOptimizer(optimizer, cluster) for optimizer in optimizers]
    return optimizers
