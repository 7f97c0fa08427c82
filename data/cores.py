"""The processor cores that this process may use."""

import math
import os


def available_cores(proc='/proc/self/cgroup', mount='/sys/fs/cgroup'):
    """Returns the number of cores that this process's affinity and its container's CPU quota allow.

    Args:
      proc: the file that names the control groups of this process; it exists on Linux only.
      mount: the folder where control groups are mounted.
    """
    if hasattr(os, 'process_cpu_count'):  # Python 3.13
        count = os.process_cpu_count()
    elif hasattr(os, 'sched_getaffinity'):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count()
    return max(1, min([count or 1, *(math.ceil(quota) for quota in _quotas(proc, mount))]))


def _quotas(proc, mount):
    """Yields the cores that each control group around this process allows, where that is limited."""
    for line in _read(proc).splitlines():
        _, controllers, path = [*line.split(':', 2), '', ''][:3]
        if controllers and 'cpu' not in controllers.split(','):
            continue
        # Within a container, the path may be that of the host: then only the root of the mount exists.
        parts = [part for part in path.split('/') if part not in ('', '..')]
        for depth in range(len(parts), -1, -1):
            # Version 2 has no controllers, version 1 a folder for each.
            for top in (controllers, 'cpu') if controllers else ('', 'unified'):
                folder = os.path.join(mount, top, *parts[:depth])
                limit = _read(os.path.join(folder, 'cpu.max')).split() or [
                    _read(os.path.join(folder, 'cpu.cfs_quota_us')), _read(os.path.join(folder, 'cpu.cfs_period_us'))]
                try:
                    quota, period = (int(number) for number in limit)
                except ValueError:  # 'max', or no such file
                    continue
                if quota > 0 and period > 0:
                    yield quota / period


def _read(path):
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            return file.read()
    except OSError:
        return ''
