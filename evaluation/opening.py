"""From what a user says to an Evaluator."""

import contextlib
import os

from evaluation.evaluator import Evaluator
from evaluation.names import OF_FEATURES, default_metrics, parse_metrics
from metrics.inception import GRAPH_NAME, GRAPH_SOURCE, Inception
from runtime.errors import RunError
from sampling.reals import open_reals

FEWEST = 4  # real images, two of either half


@contextlib.contextmanager
def open_evaluator(run, size, names, dataset_dir, cache_dir, inception_graph, seed):
    """Gives an Evaluator for the generators of a run.

    Args:
      run: the run directory, a Path.
      size: height and width of their images, in pixels.
      names: of the metrics; None is the usual ones.
      dataset_dir: the real images; None is those that the run was trained on.
      cache_dir: where packs and features are kept.
      inception_graph: path of the Inception graph, or None; without it, metrics that take it are left out, and told.
      seed: of the Evaluator.

    Raises:
      DataError: the real images cannot be used.
      MetricError: the Inception graph cannot.
      RunError: there are no such metrics, or too few real images.
    """
    metrics = None if names is None else _without_features(parse_metrics(names), inception_graph)
    with contextlib.ExitStack() as stack:
        inception = inception_graph and stack.enter_context(Inception(os.path.expanduser(inception_graph)))
        if inception and not inception.is_known:
            print(f'warning     {inception_graph} is not the {GRAPH_NAME} that others measured by, which is in '
                  f'{GRAPH_SOURCE}: fid and kid compare with nothing that is published')
        reals = open_reals(run, size, dataset_dir, cache_dir)
        if len(reals.names) < FEWEST:
            raise RunError(f'{reals.name} holds {len(reals.names)} images; there are numbers of {FEWEST} or more')
        metrics = metrics or default_metrics(len(reals.names), bool(inception))
        yield Evaluator(reals, metrics, seed, inception, cache_dir)


def _without_features(metrics, inception_graph):
    others = [metric for metric in metrics if inception_graph or metric.kind not in OF_FEATURES]
    if len(others) < len(metrics):
        left_out = ', '.join(metric.name for metric in metrics if metric not in others)
        sentence = f'{left_out}: not measured, without --inception_graph={GRAPH_NAME}, which comes from {GRAPH_SOURCE}'
        if not others:
            raise RunError(sentence)
        print(f'warning     {sentence}')
    return others
