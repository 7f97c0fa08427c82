"""Collects what a report shows of a run."""

from data.order import steps_per_epoch
from dcgan.comparison.milestones import SEEDS, milestones_of
from dcgan.comparison.report import Contents
from dcgan.errors import UserError
from dcgan.runs.checkpoints import Checkpoints
from dcgan.runs.event_log import read_log
from dcgan.runs.run_directory import RunDirectory
from dcgan.sampling.checkpoint import find, read, step_of
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.pictures import grid

NEEDED = ('dataset_dir', 'image_size', 'batch_size', 'images', 'learning_rate', 'seed', 'precision', 'log_steps',
          'platform')


def gather(run):
    """Returns the Contents of a report, without results, figures and checks.

    Args:
      run: run directory, a Path.

    Raises:
      UserError: the run has no settings or no readable checkpoint.
    """
    directory = RunDirectory(run)
    config = directory.read_config()
    missing = [name for name in NEEDED if name not in config]
    if missing:
        raise UserError(f'{run / "config.json"} is damaged: it lacks {", ".join(missing)}; restore it')
    batch = config['batch_size'] * config.get('workers', 1)  # version 0.1.0 had one worker and did not record it
    epoch_steps = steps_per_epoch(config['images'], batch)
    latest = step_of(find(run, 'latest')[0])
    milestones, grids = milestones_of(Checkpoints(directory), epoch_steps, latest), {}
    for milestone in milestones:
        if milestone.checkpoint is not None:
            try:
                grids[milestone.name] = _draw(read(milestone.checkpoint))
            except UserError as error:
                print(f'warning     {error}; the report omits it')
    return Contents(run, config, read_log(run / 'log.jsonl'), batch, epoch_steps, milestones, grids, {}, {}, [])


def _draw(checkpoint):
    """Returns a PNG of 8x8 faces of fixed latents, normalized by the statistics of their batch, as in the article."""
    with TrainedGenerator(checkpoint, 'batch', len(SEEDS)) as generator:
        return grid(generator.images(SEEDS)[:64], 8, 8)
