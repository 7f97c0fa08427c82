"""Numbers during training: how close the generator's images are to the training images."""

from dcgan.metrics.evaluator import Evaluator
from dcgan.metrics.protocols import metric_name, parse_metrics
from dcgan.runs.event_log import best_of
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import GeneratorCheckpoint
from dcgan.training.graph import ema_variables

MOST_IMAGES = 2000  # fewer than evaluate.py takes by default, because training waits


class TrainingEvaluator:
    """Measures swd2k and msssim2k of the generator in training, with averaged weights if the run keeps them.

    Attributes:
      latest: the last measured numbers, {name of a metric: value}.
    """

    def __init__(self, graph, real_images, checkpoints, entries, cache_dir):
        """Prepares the metrics.

        Args:
          graph: the TrainGraph.
          real_images: the RealImages of the training.
          checkpoints: the Checkpoints, whose best it sets.
          entries: of the log so far.
          cache_dir: folder of temporary files.

        Raises:
          UserError: there are too few images, or they are too small.
        """
        self._dcgan, self._checkpoints = graph.dcgan, checkpoints
        averages = ema_variables()
        self._variables = {variable.op.name: averages.get(variable.op.name, variable)
                           for variable in graph.dcgan.g.variables}
        self._weights = 'ema' if averages else 'trained'
        half = len(real_images.names) // 2
        counts = {'swd': min(MOST_IMAGES, half), 'msssim': min(MOST_IMAGES, half * half)}
        metrics = parse_metrics([metric_name(kind, count) for kind, count in counts.items()])
        self._evaluator = Evaluator(real_images, metrics, seed=0, inception=None, cache_dir=cache_dir)
        self._lowest, checkpoints.best = best_of(entries)
        self.latest = {}

    def describe(self):
        """Returns the last measured distance as text, for the progress bar; '' before the first."""
        return ''.join(f'{name} {value:.1f}' for name, value in self.latest.items() if name.startswith('swd'))

    def measure(self, session, step):
        """Returns {name of a metric: value}, the mean for swd; ``session`` is the training session.

        Raises:
          UserError: temporary files cannot be written, or the run directory was moved.
        """
        self._checkpoints.directory.require_present()  # statistics are cached there
        checkpoint = GeneratorCheckpoint(
            self._checkpoints.path(step), session.run(self._variables), self._dcgan.z_dim, self._dcgan.s_size,
            self._dcgan.g.depths[:-1], self._weights, step, {})
        with TrainedGenerator(checkpoint) as generator:
            results = self._evaluator.measure(generator)
        self.latest = {result.metric: result.value for result in results if result.part in ('', 'mean')}
        [distance] = [value for name, value in self.latest.items() if name.startswith('swd')]
        if distance < self._lowest:
            self._lowest, self._checkpoints.best = distance, step
        return self.latest
