"""The numbers of a run at its milestones, kept as they are measured."""

from evaluation.record import as_json, of_json
from runtime.files import write_whole
from sampling.checkpoint import read
from sampling.generator import TrainedGenerator


def measure(milestones, evaluator, path):
    """Measures the generators of Milestones.

    What was measured before is read from a file, and each milestone's numbers are in it once they are measured: minutes
    of work are not done twice.

    Args:
      milestones: those that have a checkpoint.
      evaluator: an Evaluator.
      path: the file, a Path.

    Returns:
      {name of a milestone: its Results}.
    """
    results, kept = {}, _kept(path)
    for milestone in milestones:
        with TrainedGenerator(read(milestone.checkpoint)) as generator:
            results[milestone.name] = evaluator.measure(generator, kept)
        write_whole(path, as_json([result for of_one in results.values() for result in of_one]))
    return results


def _kept(path):
    try:
        return of_json(path.read_bytes())
    except (OSError, ValueError):  # there are none, or they are damaged and measured anew
        return []
