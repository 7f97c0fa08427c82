"""The training loop: data, graph, hooks, steps."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import tensorflow.compat.v1 as tf

from data.pack import make_pack
from data.source import open_source, require_outside
from dcgan.device import make_session_config, platform_info
from dcgan.distributed.collectives import make_cluster
from dcgan.distributed.heartbeat import JOIN_TIMEOUT
from dcgan.errors import UserError, counted
from dcgan.runs.checkpoints import Checkpoints
from dcgan.runs.run_directory import RunDirectory
from dcgan.runs.settings import MAY_DIFFER
from dcgan.sampling.pictures import grid
from dcgan.sampling.real_images import real_images_of
from dcgan.signals import handling_stop_signals
from dcgan.training.graph import build_graph
from dcgan.training.header import print_end, print_header
from dcgan.training.hooks import HookContext, SharedStopHook, StopHook, SyncCheckHook, chief_hooks
from dcgan.training.initialization import find_init_checkpoint
from dcgan.training.schedule import Schedule


def train(config, model_dir, cache_dir, join_timeout=JOIN_TIMEOUT):
    """Trains until the end of ``config``; resumes from the latest checkpoint if there is one.

    Args:
      config: a Config.
      model_dir: the run directory, a Path.
      cache_dir: folder of the packs of decoded images.
      join_timeout: seconds to wait for all workers to join.

    Returns:
      The number of the signal that stopped the run; None if it reached its end.

    Raises:
      UserError: the images or the run directory cannot be used, a loss is not finite, or a worker is missing.
    """
    cluster = make_cluster(join_timeout)
    with cluster.connected(), contextlib.ExitStack() as stack:
        source = open_source(config.dataset_dir, config.image_column)
        run = stack.enter_context(_open_run(config, model_dir, source)) if cluster.is_chief else None
        pack = make_pack(source, config.crop, config.image_size, cache_dir)
        record = _record(config, source, pack, cluster)
        first_step = _synchronize(record, run, cluster)
        schedule = Schedule(config, *config.steps(len(pack.images), cluster.world_size),
                            config.batch_size * cluster.world_size)

        stack.enter_context(tf.Graph().as_default())
        init_checkpoint = find_init_checkpoint(config.init_checkpoint) if (
            config.init_checkpoint and run and run.latest is None) else None
        graph = build_graph(config, pack.images, cluster, init_checkpoint)
        print_header(source, pack, graph, schedule, run, init_checkpoint, cluster)
        if first_step >= schedule.last_step:
            return None

        saver = tf.train.Saver(max_to_keep=0)  # Checkpoints decides which to keep
        stop = SharedStopHook(cluster) if cluster.world_size > 1 else StopHook()
        stack.enter_context(handling_stop_signals(stop.answer))
        context = HookContext(graph, schedule, cluster, stop, saver, run)
        hooks = [tf.train.StopAtStepHook(last_step=schedule.last_step), stop]
        if cluster.world_size > 1:
            hooks.append(SyncCheckHook(context))
        if run:
            run.directory.write_config(record)
            run.directory.write('reals.png', grid(pack.images[:64], 8, 8))
            real_images = real_images_of(source, pack, config.crop, True)
            hooks += chief_hooks(context, stack, real_images, cache_dir)

        # The local init op runs once global_step is restored.
        scaffold = tf.train.Scaffold(
            local_init_op=tf.group(tf.train.Scaffold.default_local_init_op(), graph.start), saver=saver)
        # Unlike MonitoredTrainingSession, this one does not start again by itself where another worker is gone.
        session = stack.enter_context(tf.train.SingularMonitoredSession(
            hooks, scaffold, cluster.target, cluster.session_config(make_session_config(config.precision, config.xla)),
            str(run.directory.path) if run else None))
        stepper = stack.enter_context(ThreadPoolExecutor(1))  # Python answers signals while its main thread waits there
        while not session.should_stop():
            _, metrics = stepper.submit(session.run, [graph.train_op, graph.metrics]).result()
        if stop.error:
            raise stop.error
    if run:
        print_end(run)
    return stop.number if metrics['step'] < schedule.last_step else None


@contextlib.contextmanager
def _open_run(config, model_dir, source):
    """Yields the Checkpoints of a run directory, locked, the latest found; refuses settings that are not the run's."""
    directory = RunDirectory(model_dir)
    require_outside(source, directory.path)
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
            f'{source.name} holds {counted(count, "image")}, fewer than a batch of {config.batch_size * world_size}'
            + (f' on {world_size} workers' if world_size > 1 else '')
            + (f'; use --batch_size={count // world_size} or less' if count >= world_size else '; use fewer workers'))
    return {
        **config._asdict(), 'images': count, 'images_crc32': pack.crc32, 'workers': world_size,
        'platform': platform_info()}


def _synchronize(record, run, cluster):
    """Returns the step that all workers start from, after checking that all train the same run."""
    first_step = run.latest or 0 if run else 0
    if run and run.latest is not None:
        _warn_of_changes(run.directory.require_same(record), record)
    compared = {name: value for name, value in record.items() if name not in MAY_DIFFER}
    gathered = cluster.all_gather_object({**compared, 'step': first_step})
    for name, theirs in zip(cluster.names, gathered, strict=True):
        differing = [key for key in compared if theirs.get(key) != gathered[0].get(key)]
        if differing:
            lines = [f'  {key}: {gathered[0].get(key)} on {cluster.names[0]}, {theirs.get(key)} on {name}'
                     for key in differing]
            raise UserError('\n'.join(['the workers have different settings or images:', *lines,
                                      'start the same command on all workers, with the same images']))
    if run:
        run.write_index()
    return gathered[0]['step']


def _warn_of_changes(before, now):
    if {**now['platform'], **before['platform']} != now['platform']:  # version 0.1.0 did not record all of it
        print(f'warning     last run on {before["platform"]}, now on {now["platform"]}: resuming, but results may be '
              'rounded differently from here on')
    if before['workers'] != now['workers']:
        print(f'warning     last run with {before["workers"]} workers, now with {now["workers"]}: resuming at the same '
              'step; from here on, batches have another size, order and latents, and epochs another length')
