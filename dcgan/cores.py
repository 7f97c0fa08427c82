"""The number of processor cores."""

import os


def cores():
    """Returns the number of cores that this process may use, as TensorFlow counts them.

    It affects how sums are split, and so their rounding.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
