"""Progress: a bar on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time

from tqdm import tqdm

LINE_INTERVAL = 30.0  # seconds between plain lines


class Progress(contextlib.AbstractContextManager):
    """Progress of work with a known length, on standard error; a context.

    On a terminal it is a bar of tqdm; elsewhere a line every ``LINE_INTERVAL`` seconds, so that logs stay readable. The
    page of explore.py follows tqdm's bars, hidden ones too.
    """

    def __init__(self, title, total, unit, delay=0.0):
        """Starts at 0.

        Args:
          title: of the bar or the lines.
          total: the length of the work.
          unit: what it counts, a plural.
          delay: seconds to wait before it shows anything.
        """
        self._title, self._total, self._unit = title, total, unit
        self._done = 0
        self._shown = time.monotonic() - LINE_INTERVAL + max(delay, LINE_INTERVAL / 3)
        self._bar = tqdm(desc=title, total=total, unit=f' {unit}', delay=delay, dynamic_ncols=True,
                         leave=None, disable=not sys.stderr.isatty())  # leave=None: unless there is a bar above it

    def __exit__(self, *exception):
        self._bar.close()

    def update(self, count=1):
        """Counts ``count`` more as done."""
        self._done += count
        self._bar.update(count)
        if self._bar.disable and time.monotonic() - self._shown >= LINE_INTERVAL:
            self._shown = time.monotonic()
            print(f'{self._title}: {self._done:,} of {self._total:,} {self._unit}', file=sys.stderr, flush=True)

    def of(self, items):
        """Yields items, and counts each as done once the next is asked for."""
        with self:
            for item in items:
                yield item
                self.update()
