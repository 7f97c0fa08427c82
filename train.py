"""Trains the article's DCGAN.

    python train.py                                    # a quarter-width model on the embedded faces, within minutes
    python train.py --dataset_dir=img_align_celeba     # the article's run: a folder of images, or a .zip of one
    python train.py --preset=article                   # the article's model on the embedded faces
    python train.py --epochs=120 --sample_steps=100    # longer, and seen more often

Everything the run leaves is in --model_dir: config.json, checkpoints, TensorBoard events, log.jsonl, reals.png and, in
samples/, an 8x8 grid before the first step and at the end of every epoch. Ctrl-C saves and stops; the same command
goes on from there.

Started on several machines, as the environment variable TF_CONFIG names them, it trains one model on all.
"""

import gc

import runtime.stop  # before TensorFlow: it sets what TensorFlow reads when it is loaded, which takes seconds

if __name__ == '__main__':
    runtime.stop.leave_on_signals('stopped; nothing was to be saved, and the same command goes on from here', 0)
    gc.disable()  # until all is loaded: that stays, and to look through it time and again takes half a second

# isort: split

import contextlib
import math
import os
import platform
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf2
import tensorflow.compat.v1 as tf
from absl import app, flags

from data.celeba import shortfall
from data.crop import CROPS
from data.errors import DataError
from data.pack import CACHE_DIR, make_pack
from data.source import name_of_source, open_source
from data.stream import steps_per_epoch, stream
from model import DCGAN
from runtime.checkpoints import Checkpoints, is_milestone
from runtime.cluster import workers
from runtime.collapse import Collapse
from runtime.errors import RunError
from runtime.hooks import (
    AgreeHook,
    CheckpointHook,
    LogHook,
    ProgressHook,
    SampleHook,
    SharedStopHook,
    StopHook,
    WatchHook,
)
from runtime.journal import Journal
from runtime.run_directory import WILDCARDS, RunDirectory
from runtime.session import (
    PRECISIONS,
    cores,
    describe_device,
    faster_precision,
    gpu,
    processor,
    session_config,
)
from sampling.pictures import grid

FLAGS = flags.FLAGS

PRESETS = {
    'article': {'g_depths': [1024, 512, 256, 128], 'd_depths': [64, 128, 256, 512], 'batch_size': 128, 'epochs': 5,
                'ema_decay': None},
    'demo': {'g_depths': [256, 128, 64, 32], 'd_depths': [32, 64, 128, 256], 'batch_size': 64, 'epochs': 60,
             'ema_decay': 0.999},
}
# Images a second on two AVX2 cores in float32, measured, for the time that a preset takes.
IMAGES_PER_SECOND = {'article': 26, 'demo': 165}

flags.DEFINE_string('dataset_dir', None, 'Folder of images, at any depth, or a .zip of one. Unset: the embedded faces.')
flags.DEFINE_string('model_dir', None, "What the run leaves. Unset: runs/<the data set's name>.")
flags.DEFINE_string('cache_dir', CACHE_DIR, 'Where the packs of decoded images are kept.')
flags.DEFINE_integer('image_size', 64, 'Height and width of the images, in pixels; a multiple of 2 to the number of '
                     '--g_depths.', lower_bound=1)
flags.DEFINE_enum('crop', 'auto', ['auto', *CROPS], 'What is kept of each image. auto: center108 of images of the size '
                  'of aligned CelebA, the largest centred square of any other.')
flags.DEFINE_enum('preset', None, PRESETS, 'Which defaults hold for --g_depths, --d_depths, --batch_size, --epochs and '
                  '--ema_decay. article: 1024,512,256,128, 64,128,256,512, 128, 5, none. demo: 256,128,64,32, '
                  '32,64,128,256, 64, 60, 0.999. Unset: article with --dataset_dir, demo without.')
flags.DEFINE_integer('batch_size', None, "Images a step. Unset: the preset's.", lower_bound=1)
flags.DEFINE_integer('z_dim', 100, 'Length of a latent.', lower_bound=1)
flags.DEFINE_list('g_depths', None, "Channels of the generator's layers. Unset: the preset's.")
flags.DEFINE_list('d_depths', None, "Channels of the discriminator's layers. Unset: the preset's.")
flags.DEFINE_integer('epochs', None, "End after this many passes over the images. Unset: the preset's.", lower_bound=1)
flags.DEFINE_integer('max_steps', None, 'End after this many steps, if that comes before --epochs.', lower_bound=1)
flags.DEFINE_float('learning_rate', 0.0002, 'Of both Adams.', lower_bound=0.0)
flags.DEFINE_float('d_learning_rate', None, "Of the discriminator's Adam, where it is to be another.", lower_bound=0.0)
flags.DEFINE_float('beta1', 0.5, 'Of both Adams.', lower_bound=0.0, upper_bound=0.9999)
flags.DEFINE_float('ema_decay', None, "Also keep an exponential moving average of the generator's variables, of which "
                   'it keeps this share at a step, as 0.999; grids, sample.py and evaluate.py draw from it. 0: none. '
                   "Unset: the preset's.", lower_bound=0.0, upper_bound=0.999999)
flags.DEFINE_integer('seed', 0, 'Decides the first weights, the order of the images and all latents.', lower_bound=0,
                     upper_bound=2**31 - 1)
flags.DEFINE_enum('precision', 'float32', PRECISIONS, 'Of products and convolutions; bfloat16 is for processors, '
                  'float16 for GPUs.')
flags.DEFINE_bool('xla', False, 'Have XLA compile what runs on a GPU.')
flags.DEFINE_bool('deterministic', False, 'Have TensorFlow use ops that give the same bits every time on a GPU, too, '
                  'where some do not, or are slower then. A processor needs no such thing.')
flags.DEFINE_integer('sample_steps', None, 'Draw a grid every so many steps, besides the end of every epoch.',
                     lower_bound=1)
flags.DEFINE_integer('save_steps', 250, 'Save a checkpoint every so many steps, besides 0, 3164 and 7910, '
                     "the article's moments, and the end of epochs 1, 2, 5, 10, 20, 30, ...", lower_bound=1)
flags.DEFINE_integer('log_steps', 10, 'Log losses and speed every so many steps.', lower_bound=1)

# Where the images lie may change, too: what they are is told by their number and checksum.
MAY_DIFFER = 'dataset_dir', 'platform'  # between workers
MAY_CHANGE = (*MAY_DIFFER, 'epochs', 'max_steps', 'sample_steps', 'save_steps', 'log_steps', 'workers')


class Config(NamedTuple):
    """The settings of a run, each as its flag says. Those with a default came later: older runs do not name them."""

    dataset_dir: str | None
    image_size: int
    crop: str
    batch_size: int
    z_dim: int
    g_depths: list[int]
    d_depths: list[int]
    epochs: int
    max_steps: int | None
    learning_rate: float
    beta1: float
    seed: int
    precision: str
    deterministic: bool
    sample_steps: int | None
    save_steps: int
    log_steps: int
    d_learning_rate: float | None = None
    ema_decay: float | None = None
    xla: bool = False


DEFAULTS = {**Config._field_defaults, 'workers': 1}  # of what older runs do not record
AVERAGE = '/ExponentialMovingAverage'  # after a variable's name, that of its moving average


class Output(NamedTuple):
    """What a run leaves, and where."""

    directory: RunDirectory
    checkpoints: Checkpoints
    journal: Journal


class TrainGraph(NamedTuple):
    """What there is to run of the graph of a run.

    Attributes:
      dcgan: the model.
      train_op: one step.
      measures: {'step': steps done once it is done, 'g_loss', 'd_loss', 'spread'}, scalars to fetch with ``train_op``.
        The spread is how much the generated images of the batch differ from one another, the real ones' being 1.
      samples: a PNG of 8x8 images, always of the same latents, as a string scalar.
      start: gives all workers the first one's variables, and initialises the stream of images at the step that
        ``global_step`` holds.
    """

    dcgan: DCGAN
    train_op: tf.Operation
    measures: dict
    samples: tf.Tensor
    start: tf.Operation


def train(config, model_dir, cache_dir):
    """Trains to the end of ``config``, going on from the latest checkpoint where there is one.

    Args:
      config: a Config.
      model_dir: what the run leaves; None is runs/<the data set's name>.
      cache_dir: where the packs of decoded images are kept.

    Returns:
      The number of the signal, Ctrl-C's or SIGTERM, by which the run was stopped before its end; None if it was not.

    Raises:
      DataError: the images cannot be used as asked.
      RunError: ``model_dir`` cannot, or the losses are no finite numbers any more.
    """
    everyone = workers()
    with everyone.joined():
        source = open_source(config.dataset_dir)
        if not everyone.is_first:
            return _train_along(config, source, cache_dir, everyone)
        directory = RunDirectory(model_dir or default_model_dir(source.name))
        with directory.locked():
            return _train(config, source, directory, cache_dir, everyone)


def _train(config, source, directory, cache_dir, everyone):
    """Trains as the only worker, or as the first of several."""
    checkpoints = Checkpoints(directory)
    first_step = checkpoints.find() or 0
    if checkpoints.latest is not None:
        # Before the minutes that packing may take.
        directory.agree(config._asdict(), MAY_CHANGE, DEFAULTS)
    settings = everyone.adapted(session_config(config.precision, config.xla))
    pack, record = _prepare(config, source, cache_dir, everyone)
    if checkpoints.latest is not None:
        directory.agree(record, MAY_CHANGE, DEFAULTS)
        _warn_of_changes({**DEFAULTS, **directory.read_config()}, record)
    _meet(everyone, record, first_step)

    epoch_steps, last_step = _lengths(config, record)
    with tf.Graph().as_default() as tf_graph:
        graph = build(config, pack.images, everyone)
        print(f'images      {len(pack.images):,} of {source.name}, packed in {pack.path}')
        if pack.broken:
            print(f'broken      {len(pack.broken):,} more, skipped; {pack.facts_path} says which and why')
        if missing := shortfall(source.names, pack.source_shape):
            print(f'warning     {missing}')
        print(f'crop        {_describe_crop(pack)}')
        if not first_step:
            print(f'preset      {describe_preset(config, len(pack.images))}')
        print(f'steps       {last_step}, {epoch_steps} an epoch, {config.batch_size} images each'
              + (f' on each of {everyone.count} workers' if everyone.count > 1 else ''))
        print(f'parameters  generator {_parameters(graph.dcgan.g):,}, discriminator {_parameters(graph.dcgan.d):,}')
        print(f'device      {describe_device()}')
        if faster := faster_precision(config.precision):
            print(f'precision   {config.precision}; --precision={faster} is faster on this processor')
        print(f'run         {directory.path}' + (f', going on from step {first_step}' if first_step else ''))
        checkpoints.name()
        if first_step >= last_step:
            print(f'all {last_step} steps are done already; more --epochs or --max_steps would go on')
            return None
        directory.write_config(record)
        directory.write('reals.png', grid(pack.images[:64], 8, 8))
        output = Output(directory, checkpoints, Journal(directory, first_step, tf_graph))
        number = run(config, graph, settings, everyone, last_step, epoch_steps, output)
        print(f'step {checkpoints.latest} is saved in {directory.path}')
        return number


def _train_along(config, source, cache_dir, everyone):
    """Trains as a worker after the first, which alone writes, and says how it goes."""
    settings = everyone.adapted(session_config(config.precision, config.xla))
    pack, record = _prepare(config, source, cache_dir, everyone)
    first_step = _meet(everyone, record, None)
    epoch_steps, last_step = _lengths(config, record)
    print(f'{everyone.names[everyone.index]} trains on {len(pack.images):,} images of {source.name}, packed in '
          f'{pack.path}; {everyone.names[0]} says how it goes, and writes what the run leaves')
    if first_step >= last_step:
        return None
    with tf.Graph().as_default():
        graph = build(config, pack.images, everyone)
        return run(config, graph, settings, everyone, last_step, epoch_steps)


def _prepare(config, source, cache_dir, everyone):
    """Returns the pack, and what ``config.json`` records."""
    pack = make_pack(source, config.crop, config.image_size, cache_dir)
    count, batch = len(pack.images), config.batch_size * everyone.count
    if count < batch:
        raise DataError(f'{source.name} holds {count} images, fewer than a batch of {batch}'
                        + (f' on {everyone.count} workers' if everyone.count > 1 else '')
                        + (f'; --batch_size={count // everyone.count} or less would do' if count >= everyone.count
                           else '; fewer workers would do'))
    return pack, {
        **config._asdict(), 'images': count, 'images_crc32': pack.crc32, 'workers': everyone.count, 'platform': {
            'python': platform.python_version(), 'tensorflow': tf.__version__, 'numpy': np.__version__, 'gpu': gpu(),
            'processor': processor(), 'cores': cores(), 'onednn': os.environ['TF_ENABLE_ONEDNN_OPTS']}}


def _meet(everyone, record, first_step):
    """Returns the step that the first worker goes on from, once all are seen to be at the same run."""
    compared = {key: value for key, value in record.items() if key not in MAY_DIFFER}
    told = everyone.exchange({**compared, 'step': first_step})
    for name, theirs in zip(everyone.names, told, strict=True):
        differing = [key for key in compared if theirs.get(key) != told[0].get(key)]
        if differing:
            lines = [f'  {key}: {told[0].get(key)} on {everyone.names[0]}, {theirs.get(key)} on {name}'
                     for key in differing]
            raise RunError('\n'.join(['the workers were started with different settings or images:', *lines,
                                      'start the same command on all, with the same images']))
    return told[0]['step']


def _lengths(config, record):
    """Returns the steps of an epoch, and those of the whole run."""
    epoch_steps = steps_per_epoch(record['images'], config.batch_size * record['workers'])
    return epoch_steps, min(config.epochs * epoch_steps, config.max_steps or sys.maxsize)


def build(config, images, everyone):
    """Builds the graph of a run in the current default graph: input, model, train op, samples.

    Args:
      config: a Config.
      images: uint8 [n, image_size, image_size, 3], n at least ``batch_size`` on each worker.
      everyone: the workers, ``Alone`` or a ``Cluster``.
    """
    tf.set_random_seed(config.seed)
    s_size = config.image_size // 2 ** len(config.g_depths)
    dcgan = DCGAN(config.batch_size, s_size, config.z_dim, config.g_depths, config.d_depths, config.seed,
                  everyone.index, everyone.count)
    global_step = tf.train.get_global_step()
    with tf.control_dependencies(everyone.take_from_first([global_step])):
        batches = tf.data.make_initializable_iterator(
            stream(images, config.batch_size, config.seed, global_step, everyone.index, everyone.count))
    reals = batches.get_next()
    losses = dcgan.loss(reals)
    train_op = dcgan.train(losses, config.learning_rate, config.beta1, config.d_learning_rate, config.ema_decay,
                           loss_scaling=config.precision == 'float16', average=everyone.average)
    with tf.control_dependencies([train_op]):
        step = global_step.read_value()
    # No step has a negative number, so these are not the latents of any.
    latents = tf.random.stateless_uniform([64, config.z_dim], [config.seed, -1], minval=-1.0, maxval=1.0)
    measured = [losses[dcgan.g], losses[dcgan.d], _spread(dcgan.generated, reals)]
    if everyone.count > 1:
        measured = everyone.average(measured)
    measures = dict(zip(('g_loss', 'd_loss', 'spread'), measured, strict=True), step=step)
    start = tf.group(batches.initializer, *everyone.take_from_first(tf.global_variables()))
    return TrainGraph(dcgan, train_op, measures, dcgan.sample_images(8, 8, latents, _average_of_variables()), start)


def run(config, graph, settings, everyone, last_step, epoch_steps, output=None):
    """Runs the train op until ``last_step``, with all that happens beside it.

    Args:
      output: what the run leaves, an Output; None on a worker that leaves nothing.

    Returns:
      The number of the signal that stopped it before, None if none did.
    """
    def is_drawn(step):
        return step % epoch_steps == 0 or (config.sample_steps is not None and step % config.sample_steps == 0)

    def is_saved(step):
        return step % config.save_steps == 0 or is_milestone(step, epoch_steps)

    measures = graph.measures
    stop = SharedStopHook(everyone.average) if everyone.count > 1 else StopHook()
    hooks = [tf.train.StopAtStepHook(last_step=last_step), stop]
    if everyone.count > 1:
        hooks.append(AgreeHook(everyone, measures['step'], is_saved))
    saver = tf.train.Saver(max_to_keep=0)  # Checkpoints knows which to keep
    # The local init op runs once global_step is restored.
    scaffold = tf.train.Scaffold(
        local_init_op=tf.group(tf.train.Scaffold.default_local_init_op(), graph.start), saver=saver)
    with contextlib.ExitStack() as stack:
        stack.enter_context(stop)
        if output is not None:
            directory, checkpoints, journal = output
            collapse = Collapse(journal.entries)
            progress = ProgressHook(collapse, measures, last_step, config.batch_size * everyone.count, epoch_steps,
                                    stop.ask)
            stack.enter_context(contextlib.closing(progress))
            hooks += [
                progress,
                WatchHook(checkpoints, measures, lambda step: is_drawn(step) or is_saved(step)),
                SampleHook(directory, journal, graph.samples, measures['step'], is_drawn),
                LogHook(journal, collapse, measures, config.log_steps, config.batch_size * everyone.count, epoch_steps),
                CheckpointHook(checkpoints, saver, measures['step'], is_saved, epoch_steps),
            ]
        # Unlike MonitoredTrainingSession, this does not begin anew by itself where another worker is gone.
        session = stack.enter_context(tf.train.SingularMonitoredSession(
            hooks, scaffold, everyone.target, settings, output and str(output.directory.path)))
        while not session.should_stop():
            _, measured = session.run([graph.train_op, measures])  # all of them: where one is exchanged, all must be
    return stop.number if measured['step'] < last_step else None


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f'{argv[1]} is not expected: all that can be said is said by flags, as --dataset_dir=PATH')
    gc.freeze()
    gc.enable()
    tf.logging.set_verbosity(tf.logging.ERROR)  # what it says of every checkpoint would break the bar
    if FLAGS.deterministic:
        tf2.config.experimental.enable_op_determinism()
    with runtime.stop.answering('train.py', DataError, RunError):
        number = train(config_of(FLAGS), FLAGS.model_dir, FLAGS.cache_dir)
    if number is not None:
        print('stopped as asked; the same command goes on from there')
        sys.exit(runtime.stop.exit_status(number))


def config_of(values):
    """Returns the Config that parsed flags give: a flag that is not given has the value of the run, if it goes on.

    Otherwise it has that of the preset, or its default. --max_steps counts for one start alone.

    Raises:
      RunError: config.json of the run is damaged.
    """
    given = {name: getattr(values, name) for name in Config._fields if values[name].present}
    if 'dataset_dir' in given:  # an empty one is refused later
        given['dataset_dir'] = given['dataset_dir'] and os.path.realpath(os.path.expanduser(given['dataset_dir']))
    for name in 'g_depths', 'd_depths':
        if name in given:
            given[name] = [int(depth) for depth in given[name]]
    if given.get('ema_decay') == 0:
        given['ema_decay'] = None
    recorded = _recorded(values.model_dir, given.get('dataset_dir'))
    preset = values.preset or ('article' if given.get('dataset_dir') is not None else 'demo')
    config = {name: getattr(values, name) for name in Config._fields} | PRESETS[preset]
    config |= {name: value for name, value in recorded.items() if name in Config._fields and name != 'max_steps'}
    if values.preset is not None:
        config |= PRESETS[preset]
    return Config(**config | given)


def _recorded(model_dir, dataset_dir):
    """Returns the settings of the run that goes on, {} where one begins."""
    directory = RunDirectory(model_dir or default_model_dir(name_of_source(dataset_dir)))
    if not Checkpoints(directory).steps() or not (directory.path / 'config.json').exists():
        return {}
    return {**DEFAULTS, **directory.read_config()}


def default_model_dir(name):
    """Returns where the run on the data set of a name is."""
    return Path('runs', re.sub(f'[{re.escape(WILDCARDS)}]', '_', name))


def describe_preset(config, images):
    """Returns in words which preset holds, how long it takes, and how to get another."""
    settings = config._asdict()
    names = [name for name, preset in PRESETS.items() if config.image_size == 64
             and all(settings[key] == preset[key] for key in ('g_depths', 'd_depths'))]
    if not names:
        return 'none: the size of the model is your own'
    name, preset = names[0], PRESETS[names[0]]
    changed = ', '.join(f'--{key}' for key, value in preset.items() if settings[key] != value)
    steps = min(config.epochs * steps_per_epoch(images, config.batch_size), config.max_steps or sys.maxsize)
    seconds = steps * config.batch_size / IMAGES_PER_SECOND[name]
    what = {'article': "article, its model and settings", 'demo': "demo, a quarter of the article's width"}[name]
    other = {'article': 'demo: faces within minutes', 'demo': "article: the article's own"}[name]
    return (what + (f' but for {changed}' if changed else '') + f'; about {_duration(seconds)} on two cores '
            f'(--preset={other})')


def _duration(seconds):
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return f'{minutes} minute{"s" * (minutes > 1)}'
    return f'{seconds / 3600:.0f} hours'


def _average_of_variables():
    """Returns a getter that gives each variable of the current graph its moving average; None where none is kept."""
    averages = {variable.op.name.removesuffix(AVERAGE): variable for variable in tf.global_variables()
                if variable.op.name.endswith(AVERAGE)}

    def get(getter, name, *args, **kwargs):
        return averages[name] if name in averages else getter(name, *args, **kwargs)

    return get if averages else None


def _warn_of_changes(before, now):
    then, here = before['platform'], now['platform']
    if {**here, **then} != here:  # older runs do not say all of it
        print(f'warning     last run on {then}, now on {here}: it goes on, but may round otherwise from here')
    if before['workers'] != now['workers']:
        print(f'warning     last run with {before["workers"]} workers, now with {now["workers"]}: it goes on from the '
              'same step with batches of another size, and so with another order of the images and other latents; '
              'epochs, and which checkpoints are kept for good, are counted as if it had been so from the start')


def _spread(generated, reals):
    """Returns the standard deviation of a pixel over generated images (root mean square) by that over real ones.

    It is 1 where the real ones are all alike, as a single one is.
    """
    ours, theirs = (tf.sqrt(tf.reduce_mean(tf.math.reduce_variance(images, axis=0))) for images in (generated, reals))
    return tf.where(theirs > 0, ours / theirs, 1.0)


def _describe_crop(pack):
    height, width = pack.source_shape
    size = pack.images.shape[1]
    change = 'enlarged' if pack.rows.stop - pack.rows.start < size else 'resized'
    return (f'rows {pack.rows.start}:{pack.rows.stop}, columns {pack.columns.start}:{pack.columns.stop} of images like '
            f'the first, {width}x{height}, {change} to {size}x{size}')


def _parameters(network):
    return sum(variable.shape.num_elements() for variable in network.variables)


def _are_depths(values):
    return values is None or _are_whole_numbers(values)


def _are_whole_numbers(values):
    return bool(values) and all(value.isdecimal() and int(value) > 0 for value in values)


for name in 'g_depths', 'd_depths':
    flags.register_validator(name, _are_depths, 'must be whole numbers above 0, separated by commas, as 64,32,16,8')


for name in 'learning_rate', 'd_learning_rate', 'beta1', 'ema_decay':
    flags.register_validator(name, lambda value: value is None or math.isfinite(value), 'must be a number')


@flags.multi_flags_validator(['image_size', 'g_depths'],
                             'must be a multiple of 2 to the number of --g_depths: 16 for the four of the article, as '
                             'each layer doubles the size')
def _is_size_of_the_generator(values):
    return values['image_size'] % 2 ** len(values['g_depths'] or PRESETS['article']['g_depths']) == 0


if __name__ == '__main__':
    app.run(main)
