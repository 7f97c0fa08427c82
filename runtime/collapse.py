"""Collapse: when a run goes on, but its generator has stopped learning."""

import collections
import statistics

STEPS = 500
ENTRIES = 10
ALIKE = 0.15
NOUGHT = 0.05  # nats


class Collapse:
    """Notices a collapse from what is logged, by the medians over the last ``STEPS`` steps, ``ENTRIES`` at the least.

    - The generated images are alike: the median of their spread is below ``ALIKE``. A healthy run passes through that,
      but in its first hundred steps only.
    - The discriminator knows all: the median of its loss is below ``NOUGHT``, and the generator learns nothing from it.

    Attributes:
      words: what has collapsed; empty as long as nothing has.
    """

    SIGNS = (
        ('spread', ALIKE, 'the generated images are alike'),
        ('d_loss', NOUGHT, "the discriminator's loss is nought"),
    )

    def __init__(self, entries=()):
        """Takes what the run has logged so far, so that one that goes on notices what it would have noticed."""
        self.words = ''
        self._last = collections.deque()
        for entry in entries:
            self.see(entry)

    def see(self, entry):
        """Takes the next entry of the log, {'step', 'spread', 'd_loss'}."""
        last, begin = self._last, entry['step'] - STEPS
        last.append(entry)
        while len(last) > ENTRIES and last[1]['step'] <= begin:
            last.popleft()
        self.words = ''
        if len(last) >= ENTRIES and last[0]['step'] <= begin:
            self.words = ', and '.join(
                f'{what} (median {name} of {STEPS} steps below {threshold})' for name, threshold, what in self.SIGNS
                if statistics.median(entry[name] for entry in last) < threshold)
