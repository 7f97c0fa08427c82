"""The device that a session runs on, and its precision."""

import os
import platform
import re

import numpy as np
import tensorflow.compat.v1 as tf

from dcgan.cores import cores
from dcgan.errors import UserError


def make_session_config(precision, xla=False):
    """Returns the ConfigProto of a session. On a GPU, memory is allocated as needed, not all at once.

    Args:
      precision: one of ``runs.settings.PRECISIONS``. On a CPU, bfloat16 is used by oneDNN's matrix products and
        convolutions. On a GPU, float16 is used by matrix products, convolutions and the ops between them. Variables,
        sums of gradients and Adam stay float32.
      xla: whether XLA compiles the graph; for GPUs.

    Raises:
      UserError: this device does not support the precision, or is a CPU, where XLA makes training slower.
    """
    config = tf.ConfigProto()
    config.gpu_options.allow_growth = True
    if precision == 'bfloat16':
        _require_bfloat16()
        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = 1  # RewriterConfig.ON
    if precision == 'float16':
        _require_float16()
        config.graph_options.rewrite_options.auto_mixed_precision = 1
    if xla:
        if gpu() is None:
            raise UserError('--xla is for GPUs, and TensorFlow found none; remove it: on a CPU, XLA makes training '
                            'many times slower')
        config.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.ON_1
    return config


def processor():
    """Returns the name of the processor, or its architecture if the system does not tell the name."""
    found = re.search(r'^model name\s*:\s*(.+)$', _cpuinfo(), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def platform_info():
    """Returns what rounding and speed depend on, {name: value}."""
    return {'python': platform.python_version(), 'tensorflow': tf.__version__, 'numpy': np.__version__, 'gpu': gpu(),
            'processor': processor(), 'cores': cores(), 'onednn': os.environ['TF_ENABLE_ONEDNN_OPTS']}


def gpu():
    """Returns the name of the first GPU that TensorFlow found, or None."""
    gpus = tf.config.list_physical_devices('GPU')
    return tf.config.experimental.get_device_details(gpus[0]).get('device_name', gpus[0].name) if gpus else None


def describe_device():
    """Returns a description of the device that the graph runs on: the first GPU that TensorFlow found, or the CPU."""
    return gpu() or f'CPU, {cores()} cores; no GPU found (set TF_CPP_MIN_LOG_LEVEL=0 to see where TensorFlow looked)'


def _cpuinfo():
    try:
        with open('/proc/cpuinfo') as file:
            return file.read()
    except OSError:  # not on Linux
        return ''


def _onednn_is_on():
    return os.environ['TF_ENABLE_ONEDNN_OPTS'].lower() in ('1', 'true')


def _require_float16():
    """Raises a UserError where TensorFlow would silently use float32."""
    gpus = tf.config.list_physical_devices('GPU')
    if not gpus:
        raise UserError('--precision=float16 is for GPUs, and TensorFlow found none; use --precision=bfloat16 on a CPU')
    capability = tf.config.experimental.get_device_details(gpus[0]).get('compute_capability')
    if capability is not None and capability < (7, 0):
        raise UserError(f'--precision=float16 needs a GPU of compute capability 7.0 or higher, and {gpu()} has '
                        f'{".".join(map(str, capability))}; use --precision=float32')


def _require_bfloat16():
    """Raises a UserError where TensorFlow would silently use float32."""
    if gpu():
        raise UserError('--precision=bfloat16 is for CPUs, and TensorFlow found a GPU; use --precision=float16 there')
    if not _onednn_is_on():
        raise UserError('--precision=bfloat16 needs oneDNN, which the environment variable TF_ENABLE_ONEDNN_OPTS='
                        f'{os.environ["TF_ENABLE_ONEDNN_OPTS"]} turns off; unset it')
    if not re.search(r'\b(avx512f|avx_ne_convert|bf16)\b', _cpuinfo()):
        found = '/proc/cpuinfo lists none of them' if _cpuinfo() else 'this system does not say what it has'
        raise UserError(f'--precision=bfloat16 needs a CPU with AVX-512, AVX-NE-CONVERT or bf16, and {found}; use '
                        '--precision=float32')
