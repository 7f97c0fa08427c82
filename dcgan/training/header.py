"""What a run prints before its first step and after its last one."""

import os
import shlex
import subprocess

from data.celeba import missing_images
from data.source import EXPECTED_REASONS
from dcgan.device import describe_device
from dcgan.runs.run_directory import samples_name
from dcgan.runs.settings import describe_preset


def print_header(source, pack, graph, schedule, run, init_checkpoint, cluster):
    """Says what is trained on what, and where.

    Args:
      source, pack: the Source and the Pack of the images.
      graph: the TrainGraph.
      schedule: the Schedule.
      run: the Checkpoints of the run; None on a worker that is not the chief.
      init_checkpoint: the Path of --init_checkpoint if the run starts from it, or None.
      cluster: a SingleWorker or Cluster.
    """
    if run is None:
        print(f'{cluster.names[cluster.rank]} trains on {len(pack.images):,} images of {source.name}, packed in '
              f'{pack.path}; {cluster.names[0]} shows the progress and writes the run directory')
        return
    config, first_step = schedule.config, run.latest or 0
    print(f'images      {len(pack.images):,} of {source.name}, packed in {pack.path}')
    if pack.broken:
        print(f'broken      {len(pack.broken):,} more, skipped; {pack.facts_path} lists them with the reason')
    if skipped := source.describe_skipped():
        title = 'skipped' if source.skipped.keys() <= EXPECTED_REASONS else 'warning'
        print(f'{title:<11} {skipped}; {pack.facts_path} lists them')
    if missing := missing_images(source.names, pack.source_shape):
        print(f'warning     {missing}')
    print(f'crop        {pack.describe_crop()}')
    if not first_step:
        print(f'preset      {describe_preset(config)}')
    print(f'steps       {schedule.last_step}, {schedule.epoch_steps} an epoch, {config.batch_size} images each'
          + (f' on each of {cluster.world_size} workers' if cluster.world_size > 1 else ''))
    print(f'parameters  generator {_parameters(graph.dcgan.g):,}, discriminator {_parameters(graph.dcgan.d):,}')
    print(f'device      {describe_device()}')
    print(f'run         {run.directory.path}' + (f', resuming from step {first_step}' if first_step else ''))
    if first_step >= schedule.last_step:
        print(f'all {schedule.last_step} steps are done already; raise --epochs or --max_steps to go on')
    if init_checkpoint:
        print(f'weights     from {init_checkpoint}; both Adam optimizers and the step start fresh')


def print_end(run):
    """Says where the run of these Checkpoints is saved and drawn, and what to do next."""
    print(f'step {run.latest} is saved in {run.directory.path}')
    print(f'samples     {run.directory.path / samples_name(run.latest)}, step {run.latest}')
    quote = shlex.quote if os.name == 'posix' else lambda text: subprocess.list2cmdline([text])
    print(f'next        python sample.py {quote(f"--model_dir={run.directory.path}")}')


def _parameters(network):
    return sum(variable.shape.num_elements() for variable in network.variables)
