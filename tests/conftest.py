"""The environment of the tests, set before TensorFlow is loaded."""

import os

# TensorFlow's own kernels on every processor: oneDNN's round otherwise, and Adam amplifies that beyond the tolerances.
os.environ['TF_ENABLE_ONEDNN_OPTS'] = '0'
