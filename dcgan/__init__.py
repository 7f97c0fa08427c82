"""What the commands share. It sets the environment that TensorFlow reads, so import it before TensorFlow."""

import os

# oneDNN's kernels: TensorFlow enables them by itself only where the CPU has AVX-512.
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
# Without a GPU, TensorFlow logs errors about that; the commands say which device they use, and real errors are raised.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
