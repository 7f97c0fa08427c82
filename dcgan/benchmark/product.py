"""The limit of this machine: how fast it multiplies matrices."""

import time

import tensorflow.compat.v1 as tf

# (rows, inner, columns): large squares, and one like a layer's. Which is fastest depends on the machine.
SHAPES = (4096, 4096, 4096), (2048, 2048, 2048), (8192, 1024, 1024)
SECONDS = 0.3  # to measure a shape, at least


class Product:
    """Matrix products of one dtype, on TensorFlow's default device; a context that closes the session."""

    def __init__(self, dtype):
        """Builds the products; ``dtype`` is that of the matrices and of the result."""
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._products = {shape: self._multiply(shape, dtype) for shape in SHAPES}
            config = tf.ConfigProto()
            config.gpu_options.allow_growth = True
            # All products of a call are the same and their results unused: keep TensorFlow from removing them.
            config.graph_options.rewrite_options.disable_meta_optimizer = True
            config.graph_options.optimizer_options.opt_level = tf.OptimizerOptions.L0
            self._session = tf.Session(config=config)
            self._session.run(tf.global_variables_initializer())
        self.rate()  # the first call loads kernels

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._session.close()

    def rate(self):
        """Returns floating-point operations a second of the fastest shape; a multiply-add counts as two."""
        return max(self._rate(*shape) for shape in SHAPES)

    def _rate(self, rows, inner, columns):
        times, done = self._products[rows, inner, columns]
        start, count = time.perf_counter(), 0
        while time.perf_counter() < start + SECONDS:
            self._session.run(done)
            count += times
        return count * 2 * rows * inner * columns / (time.perf_counter() - start)

    @staticmethod
    def _multiply(shape, dtype):
        """Returns the number of products that an op computes, one after the other, and the op."""
        rows, inner, columns = shape
        # A GPU computes one product in less time than a call of the session takes.
        times = 32 if tf.config.list_physical_devices('GPU') else 1
        with tf.variable_scope(f'{rows}_{inner}_{columns}'):
            left, right = (tf.get_variable(name, size, dtype, tf.random_uniform_initializer()).read_value()
                           for name, size in (('left', [rows, inner]), ('right', [inner, columns])))
        done = tf.no_op()
        for _ in range(times):
            with tf.control_dependencies([done]):
                done = tf.matmul(left, right).op
        return times, done
