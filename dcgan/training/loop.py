"""The training loop: data, graph, hooks, steps."""

import contextlib
import os
import platform

import numpy as np
import tensorflow.compat.v1 as tf

from data.celeba import missing_images
from data.pack import make_pack
from data.source import open_source, require_outside
from dcgan.cores import cores
from dcgan.device import describe_device, faster_precision, gpu, make_session_config, processor
from dcgan.distributed.collectives import make_cluster
from dcgan.distributed.heartbeat import JOIN_TIMEOUT
from dcgan.errors import UserError
from dcgan.files import local_path
from dcgan.runs.checkpoints import Checkpoints
from dcgan.runs.config import DEFAULTS, MAY_DIFFER, describe_preset
from dcgan.runs.event_log import EventLog
from dcgan.runs.run_directory import RunDirectory, default_model_dir, samples_name
from dcgan.sampling.pictures import grid
from dcgan.sampling.real_images import real_images_of
from dcgan.training.collapse import CollapseDetector
from dcgan.training.evaluation import TrainingEvaluator
from dcgan.training.graph import build_graph
from dcgan.training.hooks import (
    CheckpointHook,
    LogHook,
    NanHook,
    ProgressHook,
    SampleHook,
    SharedStopHook,
    StopHook,
    SyncCheckHook,
)
from dcgan.training.initialization import find_init_checkpoint
from dcgan.training.schedule import Schedule


def train(config, model_dir, cache_dir, join_timeout=JOIN_TIMEOUT):
    """Trains until the end of ``config``; resumes from the latest checkpoint if there is one.

    Args:
      config: a Config.
      model_dir: the run directory; None is runs/<name of the data set>.
      cache_dir: folder of the packs of decoded images.
      join_timeout: seconds to wait for all workers to join.

    Returns:
      The number of the signal that stopped the run; None if it reached its end.

    Raises:
      UserError: the images or the run directory cannot be used, a loss is not finite, or a worker is missing.
    """
    cluster = make_cluster(join_timeout)
    with cluster.connected(), contextlib.ExitStack() as stack:
        # Data.
        source = open_source(config.dataset_dir)
        checkpoints = None
        if cluster.is_chief:
            path = model_dir or default_model_dir(source.name)
            require_outside(source, local_path(path, 'model_dir'))
            checkpoints = stack.enter_context(_open_run(config, path))
        session_config = cluster.session_config(make_session_config(config.precision, config.xla))
        pack = make_pack(source, config.crop, config.image_size, cache_dir)
        record = _record(config, source, pack, cluster)
        first_step = _synchronize(record, checkpoints, cluster)
        epoch_steps, last_step = config.steps(len(pack.images), cluster.world_size)
        schedule = Schedule(config, epoch_steps, last_step, config.batch_size * cluster.world_size)

        # Graph.
        stack.enter_context(tf.Graph().as_default())
        init_checkpoint = None
        if config.init_checkpoint and cluster.is_chief and checkpoints.latest is None:
            init_checkpoint = find_init_checkpoint(config.init_checkpoint)
        graph = build_graph(config, pack.images, cluster, init_checkpoint)
        if cluster.is_chief:
            _print_header(source, pack, graph, schedule, checkpoints)
            if init_checkpoint:
                print(f'weights     from {init_checkpoint}; both Adam optimizers and the step start fresh')
        else:
            print(f'{cluster.names[cluster.rank]} trains on {len(pack.images):,} images of {source.name}, packed in '
                  f'{pack.path}; {cluster.names[0]} shows the progress and writes the run directory')
        if first_step >= last_step:
            return None

        # Hooks.
        saver = tf.train.Saver(max_to_keep=0)  # Checkpoints decides which to keep
        stop = stack.enter_context(SharedStopHook(cluster) if cluster.world_size > 1 else StopHook())
        hooks = [tf.train.StopAtStepHook(last_step=last_step), stop]
        if cluster.world_size > 1:
            hooks.append(SyncCheckHook(cluster, graph.metrics, schedule))
        if cluster.is_chief:
            directory = checkpoints.directory
            directory.write_config(record)
            directory.write('reals.png', grid(pack.images[:64], 8, 8))
            event_log = EventLog(directory, first_step, tf.get_default_graph())
            detector = CollapseDetector(event_log.entries)
            evaluator = config.evaluate_steps and TrainingEvaluator(
                graph, real_images_of(source, pack, config.crop, True), checkpoints, event_log.entries, cache_dir)
            hooks += [
                stack.enter_context(ProgressHook(detector, evaluator, graph.metrics, schedule, stop)),
                NanHook(checkpoints, graph.metrics, schedule),
                SampleHook(directory, event_log, graph, schedule),
                LogHook(event_log, detector, evaluator, graph.metrics, schedule),
                CheckpointHook(checkpoints, saver, graph.metrics, schedule),
            ]

        # Steps. The local init op runs once global_step is restored.
        scaffold = tf.train.Scaffold(
            local_init_op=tf.group(tf.train.Scaffold.default_local_init_op(), graph.start), saver=saver)
        # Unlike MonitoredTrainingSession, this one does not start again by itself where another worker is gone.
        session = stack.enter_context(tf.train.SingularMonitoredSession(
            hooks, scaffold, cluster.target, session_config, str(directory.path) if cluster.is_chief else None))
        while not session.should_stop():
            _, metrics = session.run([graph.train_op, graph.metrics])
    if cluster.is_chief:
        print(f'step {checkpoints.latest} is saved in {directory.path}')
        print(f'samples     {directory.path / samples_name(checkpoints.latest)}, step {checkpoints.latest}')
        print(f'next        python sample.py --model_dir={directory.path}')
    return stop.number if metrics['step'] < last_step else None


@contextlib.contextmanager
def _open_run(config, path):
    """Gives the Checkpoints of a run directory, locked, the latest found; refuses settings that are not the run's."""
    directory = RunDirectory(path)
    with directory.locked():
        checkpoints = Checkpoints(directory)
        if checkpoints.find() is not None:
            directory.require_same(config._asdict())  # before the minutes that packing may take
        yield checkpoints


def _record(config, source, pack, cluster):
    """Returns what config.json records: the settings, the images, the workers, the platform."""
    count, world_size = len(pack.images), cluster.world_size
    if count < config.batch_size * world_size:
        raise UserError(
            f'{source.name} holds {count} images, fewer than a batch of {config.batch_size * world_size}'
            + (f' on {world_size} workers' if world_size > 1 else '')
            + (f'; use --batch_size={count // world_size} or less' if count >= world_size else '; use fewer workers'))
    return {
        **config._asdict(), 'images': count, 'images_crc32': pack.crc32, 'workers': world_size, 'platform': {
            'python': platform.python_version(), 'tensorflow': tf.__version__, 'numpy': np.__version__, 'gpu': gpu(),
            'processor': processor(), 'cores': cores(), 'onednn': os.environ['TF_ENABLE_ONEDNN_OPTS']}}


def _synchronize(record, checkpoints, cluster):
    """Returns the step that all workers start from, after checking that all train the same run."""
    first_step = 0
    if checkpoints and checkpoints.latest is not None:
        checkpoints.directory.require_same(record)
        _warn_of_changes({**DEFAULTS, **checkpoints.directory.read_config()}, record)
        first_step = checkpoints.latest
    compared = {name: value for name, value in record.items() if name not in MAY_DIFFER}
    gathered = cluster.all_gather_object({**compared, 'step': first_step})
    for name, theirs in zip(cluster.names, gathered, strict=True):
        differing = [key for key in compared if theirs.get(key) != gathered[0].get(key)]
        if differing:
            lines = [f'  {key}: {gathered[0].get(key)} on {cluster.names[0]}, {theirs.get(key)} on {name}'
                     for key in differing]
            raise UserError('\n'.join(['the workers have different settings or images:', *lines,
                                      'start the same command on all workers, with the same images']))
    return gathered[0]['step']


def _warn_of_changes(before, now):
    if {**now['platform'], **before['platform']} != now['platform']:  # version 0.1.0 did not record all of it
        print(f'warning     last run on {before["platform"]}, now on {now["platform"]}: resuming, but results may be '
              'rounded differently from here on')
    if before['workers'] != now['workers']:
        print(f'warning     last run with {before["workers"]} workers, now with {now["workers"]}: resuming at the same '
              'step; from here on, batches have another size, and so another order and other latents; epochs, '
              'and which checkpoints are kept, are counted as if it had always been so')


def _print_header(source, pack, graph, schedule, checkpoints):
    config, first_step = schedule.config, checkpoints.latest or 0
    workers = schedule.step_images // config.batch_size
    print(f'images      {len(pack.images):,} of {source.name}, packed in {pack.path}')
    if pack.broken:
        print(f'broken      {len(pack.broken):,} more, skipped; {pack.facts_path} lists them with the reason')
    if skipped := source.describe_skipped():
        print(f'skipped     {skipped}; {pack.facts_path} lists them')
    if missing := missing_images(source.names, pack.source_shape):
        print(f'warning     {missing}')
    print(f'crop        {pack.describe_crop()}')
    if not first_step:
        print(f'preset      {describe_preset(config, len(pack.images))}')
    print(f'steps       {schedule.last_step}, {schedule.epoch_steps} an epoch, {config.batch_size} images each'
          + (f' on each of {workers} workers' if workers > 1 else ''))
    print(f'parameters  generator {_parameters(graph.dcgan.g):,}, discriminator {_parameters(graph.dcgan.d):,}')
    print(f'device      {describe_device()}')
    if faster := faster_precision(config.precision):
        print(f'precision   {config.precision}; --precision={faster} is faster on this processor')
    print(f'run         {checkpoints.directory.path}' + (f', resuming from step {first_step}' if first_step else ''))
    checkpoints.write_index()
    if first_step >= schedule.last_step:
        print(f'all {schedule.last_step} steps are done already; raise --epochs or --max_steps to go on')


def _parameters(network):
    return sum(variable.shape.num_elements() for variable in network.variables)
