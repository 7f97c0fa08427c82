"""Gathers what a report shows of a run."""

from comparison.milestones import SEEDS, milestones_of
from comparison.report import Contents
from data.stream import steps_per_epoch
from runtime.checkpoints import Checkpoints
from runtime.errors import RunError
from runtime.journal import read_log
from runtime.run_directory import RunDirectory
from sampling.checkpoint import find, read, step_of
from sampling.generator import TrainedGenerator
from sampling.pictures import grid

NEEDED = ('dataset_dir', 'image_size', 'batch_size', 'images', 'learning_rate', 'seed', 'precision', 'log_steps',
          'platform')


def gather(run):
    """Returns the Contents of a report but for what is not of the run alone: its results, figures and checks.

    Args:
      run: the run directory, a Path.

    Raises:
      RunError: the run has no settings, or no checkpoint that can be read.
    """
    directory = RunDirectory(run)
    config = directory.read_config()
    missing = [name for name in NEEDED if name not in config]
    if missing:
        raise RunError(f'{run / "config.json"} is damaged: it says nothing of {", ".join(missing)}; restore it')
    batch = config['batch_size'] * config.get('workers', 1)  # older runs do not say; they had one
    epoch_steps = steps_per_epoch(config['images'], batch)
    latest = step_of(find(run, 'latest')[0])
    milestones, grids = milestones_of(Checkpoints(directory), epoch_steps, latest), {}
    for milestone in milestones:
        if milestone.checkpoint is not None:
            try:
                grids[milestone.name] = _drawn(read(milestone.checkpoint))
            except RunError as error:
                print(f'warning     {error}; the report goes without it')
    return Contents(run, config, read_log(run / 'log.jsonl'), batch, epoch_steps, milestones, grids, {}, {}, [])


def _drawn(trained):
    """Returns 8x8 faces as a PNG, always of the same latents, by the statistics of their batch, as the article does."""
    with TrainedGenerator(trained, 'batch', len(SEEDS)) as generator:
        return grid(generator.images(SEEDS)[:64], 8, 8)
