"""The program around the article's code."""

import importlib.util
import os
import sys

if importlib.util.find_spec('absl') is None:
    sys.exit(f'{sys.argv[0]}: the packages that it needs are not installed for {sys.executable}; activate the virtual '
             "environment that has them, or install them in the project's folder: pip install .")


def configure():
    """Loads TensorFlow as the program needs it. Call it before anything else loads TensorFlow.

    TensorFlow runs in graph mode, with resource variables: with the article's reference variables, one optimizer
    updates weights while the other still reads them, so no two runs are alike.
    """
    # oneDNN's kernels: TensorFlow enables them by itself only where the CPU has AVX-512.
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
    # Without a GPU, TensorFlow logs errors about that; the commands say which device they use, and errors are raised.
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    import tensorflow.compat.v1 as tf

    tf.disable_eager_execution()
    tf.enable_resource_variables()
    tf.logging.set_verbosity(tf.logging.ERROR)  # it reports every checkpoint
