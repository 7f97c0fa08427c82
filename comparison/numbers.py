"""The numbers of a run at its milestones, kept as they are measured."""

from evaluation.record import as_json, of_json
from runtime.errors import RunError
from runtime.files import write_output
from sampling.checkpoint import read
from sampling.generator import TrainedGenerator


def measure(milestones, evaluator, path):
    """Measures the generators of Milestones.

    What was measured before is read from a file, and each milestone's numbers go into it once they are measured: no
    work of minutes is done twice, or lost.

    Args:
      milestones: those that have a checkpoint.
      evaluator: an Evaluator.
      path: the file, a Path.

    Returns:
      {name of a milestone: its Results}, of those whose checkpoint is still there.

    Raises:
      RunError: the file cannot be written.
    """
    results, kept = {}, _read(path)
    for milestone in milestones:
        try:
            trained = read(milestone.checkpoint)
        except RunError as error:  # a run that goes on keeps only its newest
            print(f'warning     {error}; the report goes without its numbers')
            continue
        with TrainedGenerator(trained) as generator:
            results[milestone.name] = evaluator.measure(generator, kept)
        kept += [result for result in results[milestone.name] if result not in kept]
        write_output(path, as_json(kept), 'out')
    return results


def _read(path):
    try:
        return of_json(path.read_bytes())
    except (OSError, ValueError):  # there are none, or they are damaged and measured anew
        return []
