"""Collapse: when a run has ended as a GAN in all but name."""

PATIENCE = 500  # steps
ALIKE = 0.1  # spread
NOUGHT = 0.01  # nats


class Collapse:
    """Notices a collapse from what is logged, in one of two ways, each over ``PATIENCE`` steps without a break.

    - The generated images are alike: their spread is below ``ALIKE``.
    - The discriminator knows all: its loss is below ``NOUGHT``, and the generator learns nothing from it.

    Attributes:
      words: what has collapsed and since when; empty as long as nothing has.
    """

    SIGNS = (
        ('spread', ALIKE, 'the generated images have been alike'),
        ('d_loss', NOUGHT, "the discriminator's loss has been nought"),
    )

    def __init__(self, entries=()):
        """Takes what the run has logged so far, so that one that goes on notices what it would have noticed."""
        self.words = ''
        self._since = {}
        for entry in entries:
            self.see(entry)

    def see(self, entry):
        """Takes the next entry of the log, {'step', 'spread', 'd_loss'}."""
        words = []
        for name, threshold, what in self.SIGNS:
            if entry[name] >= threshold:
                self._since.pop(name, None)
                continue
            since = self._since.setdefault(name, entry['step'])
            if entry['step'] - since >= PATIENCE:
                words.append(f'{what} since step {since} ({name} below {threshold})')
        self.words = ', and '.join(words)
