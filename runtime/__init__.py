"""How a run is carried out: TensorFlow's environment and session, the run directory, the hooks.

TensorFlow reads its environment once, when it is loaded, so a script imports this package first.
"""

import os

# oneDNN's kernels: TensorFlow switches them on by itself only where the processor has AVX-512.
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
# Without a GPU TensorFlow prints errors about that; a script says what device it found, and real errors are raised.
# (What TensorFlow 2.21 prints while it is loaded does not heed this.)
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
