"""Metrics of a run at its milestones, saved as soon as they are measured."""

from dcgan.errors import UserError
from dcgan.files import write_output
from dcgan.metrics.results import from_json, to_json
from dcgan.sampling.checkpoint import read
from dcgan.sampling.generator import TrainedGenerator


def measure(milestones, evaluator, path):
    """Measures the generators of Milestones.

    Measuring takes minutes, so the results of each milestone are saved at once and read again next time.

    Args:
      milestones: Milestones with a checkpoint.
      evaluator: an Evaluator.
      path: JSON file of the results, a Path.

    Returns:
      {name of a milestone: its Results}, without milestones whose checkpoint was deleted meanwhile.

    Raises:
      UserError: the file cannot be written.
    """
    results, kept = {}, _read(path)
    for number, milestone in enumerate(milestones, start=1):
        try:
            checkpoint = read(milestone.checkpoint)
        except UserError as error:  # a running training deletes old checkpoints
            print(f'warning     {error}; the report omits its numbers')
            continue
        with TrainedGenerator(checkpoint) as generator:
            results[milestone.name] = evaluator.measure(generator, kept, f'{number} of {len(milestones)}')
        kept += [result for result in results[milestone.name] if result not in kept]
        write_output(path, to_json(kept), 'out')
    return results


def _read(path):
    try:
        return from_json(path.read_bytes())
    except (OSError, ValueError):  # missing or damaged: measure again
        return []
