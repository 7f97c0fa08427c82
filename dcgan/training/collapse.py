"""Collapse: training goes on, but the generator no longer learns."""

import collections
import statistics

WINDOW = 500  # steps
MIN_ENTRIES = 10
MIN_SPREAD = 0.15
MIN_D_LOSS = 0.05  # nats


class CollapseDetector:
    """Detects signs of collapse: medians of the log over the last ``WINDOW`` steps, at least ``MIN_ENTRIES`` entries.

    - Generated images are much alike: the median spread is below ``MIN_SPREAD``. A healthy run passes through that, but
      only in its first hundred steps.
    - The discriminator is nearly always right: its median loss is below ``MIN_D_LOSS``; the generator gets no gradient.

    Attributes:
      message: the signs that it sees, in short; '' if there are none.
    """

    SIGNS = ('spread', MIN_SPREAD, 'faces much alike'), ('d_loss', MIN_D_LOSS, 'discriminator nearly always right')

    def __init__(self, entries=()):
        """Starts a detector.

        Args:
          entries: what the run has logged so far, so that a resumed run detects what an uninterrupted one would.
        """
        self.message = ''
        self._window = collections.deque()
        for entry in entries:
            self.update(entry)

    def update(self, entry):
        """Adds the next entry of the log, {'step', 'spread', 'd_loss'}."""
        window, begin = self._window, entry['step'] - WINDOW
        window.append(entry)
        while len(window) > MIN_ENTRIES and window[1]['step'] <= begin:
            window.popleft()
        self.message = ''
        if len(window) >= MIN_ENTRIES and window[0]['step'] <= begin:
            self.message = ', '.join(sign for name, threshold, sign in self.SIGNS
                                     if statistics.median(entry[name] for entry in window) < threshold)
