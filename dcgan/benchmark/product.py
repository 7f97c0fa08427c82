"""The limit of this machine: how fast it multiplies matrices."""

import time

import tensorflow.compat.v1 as tf

# (rows, inner, columns): large squares, and one like a layer's. Which is fastest depends on the machine.
SHAPES = (4096, 4096, 4096), (2048, 2048, 2048), (8192, 1024, 1024)
SECONDS = 0.3  # to measure a shape, at least


class Product:
    """Matrix products of one dtype, on TensorFlow's default device."""

    def __init__(self, dtype):
        """Builds the products, and loads their kernels.

        Args:
          dtype: of the matrices and of the result.
        """
        # A GPU computes one product in less time than a call of the session takes.
        self._times = 32 if tf.config.list_physical_devices('GPU') else 1
        config = tf.ConfigProto()
        config.gpu_options.allow_growth = True
        # All products of a call are the same and their results unused: keep TensorFlow from removing them.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        config.graph_options.optimizer_options.opt_level = tf.OptimizerOptions.L0
        with tf.Graph().as_default():
            self._products = {shape: self._multiply(shape, dtype) for shape in SHAPES}
            self._session = tf.Session(config=config)
            self._session.run(tf.global_variables_initializer())
        self.rate()

    def rate(self):
        """Returns floating-point operations a second of the fastest shape; a multiply-add counts as two."""
        return max(self._rate(*shape) for shape in SHAPES)

    def _rate(self, rows, inner, columns):
        start, count = time.perf_counter(), 0
        while time.perf_counter() < start + SECONDS:
            self._session.run(self._products[rows, inner, columns])
            count += self._times
        return count * 2 * rows * inner * columns / (time.perf_counter() - start)

    def _multiply(self, shape, dtype):
        """Returns an op that multiplies two matrices as often as a call should, one product after the other."""
        rows, inner, columns = shape
        left, right = (tf.Variable(tf.random_uniform(size, dtype=dtype)).read_value()
                       for size in ([rows, inner], [inner, columns]))
        done = tf.no_op()
        for _ in range(self._times):
            with tf.control_dependencies([done]):
                done = tf.matmul(left, right).op
        return done
