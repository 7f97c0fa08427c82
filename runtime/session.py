"""What a session runs on, and in which precision."""

import os
import platform
import re

import tensorflow.compat.v1 as tf

from runtime.errors import RunError

PRECISIONS = ('float32', 'bfloat16', 'float16')


def session_config(precision, xla=False):
    """Returns the ConfigProto of a session: on a GPU, memory is taken as it is needed, not all at once.

    Args:
      precision: of ``PRECISIONS``. With bfloat16, on a processor, oneDNN's products and convolutions take and give it;
        with float16, on a GPU, products, convolutions and what lies between them. Variables, gradients' sums and Adam
        stay float32.
      xla: whether a GPU's ops are compiled by XLA.

    Raises:
      RunError: TensorFlow would not compute in that precision here, or XLA would only cost time.
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
            raise RunError('--xla is for GPUs, and TensorFlow found none; on a processor it makes a step many times as '
                           'long')
        config.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.ON_1
    return config


def faster_precision(precision):
    """Returns a precision that is faster here than that one, as measured on processors with AVX512_BF16; or None."""
    if precision != 'float32' or gpu() or not _onednn_is_on() or 'avx512_bf16' not in _cpuinfo():
        return None
    return 'bfloat16'


def cores():
    """Returns how many cores TensorFlow computes on, which decides how sums are split and so how they are rounded."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def processor():
    """Returns what the processor is called, as far as the system says."""
    found = re.search(r'^model name\s*:\s*(.+)$', _cpuinfo(), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def gpu():
    """Returns the name of the first GPU that TensorFlow found, None where it found none."""
    gpus = tf.config.list_physical_devices('GPU')
    return _details(gpus[0]).get('device_name', gpus[0].name) if gpus else None


def describe_device():
    """Returns in words what the graph will run on: the first GPU that TensorFlow found, or else the processor."""
    return gpu() or (f'CPU, {cores()} cores; TensorFlow found no GPU (TF_CPP_MIN_LOG_LEVEL=0 in the environment shows '
            'where it looked)')


def _details(device):
    return tf.config.experimental.get_device_details(device)


def _cpuinfo():
    try:
        with open('/proc/cpuinfo') as file:
            return file.read()
    except OSError:  # not on Linux
        return ''


def _onednn_is_on():
    return os.environ['TF_ENABLE_ONEDNN_OPTS'].lower() in ('1', 'true')


def _require_float16():
    """TensorFlow would go on in float32 without a word."""
    gpus = tf.config.list_physical_devices('GPU')
    if not gpus:
        raise RunError('--precision=float16 is for GPUs, and TensorFlow found none; --precision=bfloat16 is for '
                       'processors')
    capability = _details(gpus[0]).get('compute_capability')
    if capability is not None and capability < (7, 0):
        raise RunError(f'--precision=float16 needs a GPU of compute capability 7.0 or more, and {gpu()} has '
                       f'{".".join(map(str, capability))}; --precision=float32 runs on any')


def _require_bfloat16():
    """TensorFlow would go on in float32 without a word."""
    if gpu():
        raise RunError('--precision=bfloat16 is for processors, by oneDNN, and there is a GPU; --precision=float16 is '
                       'for those')
    if not _onednn_is_on():
        raise RunError(f'--precision=bfloat16 needs oneDNN, which TF_ENABLE_ONEDNN_OPTS='
                       f'{os.environ["TF_ENABLE_ONEDNN_OPTS"]} in the environment switches off; unset it')
    if not re.search(r'\b(avx512f|avx_ne_convert|bf16)\b', _cpuinfo()):
        raise RunError('--precision=bfloat16 needs a processor with AVX-512, AVX-NE-CONVERT or bf16, and /proc/cpuinfo '
                       'names none of them; --precision=float32 runs on any')
