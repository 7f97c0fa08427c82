"""What happens besides training, one duty per hook.

Hooks fetch the same few tensors in the same ``session.run`` as the train op, at every step: fetching others at some
steps would run another graph there, optimized in another way.
"""

import contextlib
import dataclasses
import datetime
import math
import os
import sys
import time

import tensorflow.compat.v1 as tf
from tqdm import tqdm

from dcgan.distributed.collectives import Cluster
from dcgan.errors import UserError
from dcgan.runs.checkpoints import Checkpoints
from dcgan.runs.event_log import EventLog
from dcgan.runs.run_directory import RunDirectory, samples_name
from dcgan.signals import SIGPIPE, STOP_SIGNALS, say
from dcgan.training.collapse import WINDOW, CollapseDetector
from dcgan.training.evaluation import TrainingEvaluator
from dcgan.training.graph import TrainGraph
from dcgan.training.schedule import Schedule


class StopHook(tf.train.SessionRunHook):
    """Ends the run after the current step, so that it is saved, when ``number`` is set.

    Attributes:
      number: of the signal that asked for it; None if none did.
    """

    def __init__(self):
        self.number = None
        self._answered = False

    def answer(self, number, frame):
        """Answers a signal, as its handler. A second one ends the process at once."""
        if self._answered:
            say('stopped at once, without saving; run the same command again to resume from the last checkpoint')
            os._exit(128 + number)
        self._answered = True
        say('finishing this step, then saving; Ctrl-C again to quit now')
        self.number = number

    def after_run(self, run_context, run_values):
        if self.number is not None:
            run_context.request_stop()


class SharedStopHook(StopHook):
    """A StopHook that stops all workers after the same step: a signal to one is all-reduced in the next step."""

    NUMBERS = *STOP_SIGNALS, SIGPIPE

    def __init__(self, cluster):
        super().__init__()
        requested = tf.get_variable('requested_stop', len(self.NUMBERS), initializer=tf.zeros_initializer(),
                                    trainable=False, collections=[tf.GraphKeys.LOCAL_VARIABLES])
        self._publish = {number: requested.assign(tf.one_hot(i, len(self.NUMBERS))).op
                         for i, number in enumerate(self.NUMBERS)}
        self._requested, = cluster.all_reduce_mean([requested.read_value()])

    def before_run(self, run_context):
        if self.number is not None:
            run_context.session.run(self._publish[self.number])
        return tf.train.SessionRunArgs(self._requested)

    def after_run(self, run_context, run_values):
        if run_values.results.any():
            self.number = self.NUMBERS[run_values.results.argmax()]
            run_context.request_stop()


@dataclasses.dataclass(eq=False)
class _StepHook(tf.train.SessionRunHook):
    """Calls ``start`` before the first step of this process, and ``act`` after each step.

    Attributes:
      graph: the TrainGraph.
      schedule: the Schedule.
    """

    graph: TrainGraph
    schedule: Schedule

    def after_create_session(self, session, coord):
        self.start(session, int(session.run(tf.train.get_global_step())))

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self.graph.metrics)

    def after_run(self, run_context, run_values):
        metrics = run_values.results
        self.act(run_context.session, int(metrics['step']), metrics, run_context.stop_requested)

    def start(self, session, step):
        """Acts before the first step; ``step`` are done already."""

    def act(self, session, step, metrics, is_last):
        """Acts after a step, with its metrics; ``is_last``: the run stops after it."""


@dataclasses.dataclass(eq=False)
class SyncCheckHook(_StepHook):
    """Ends the run if the workers' variables differ in any bit, at the start and before each checkpoint."""

    cluster: Cluster

    def begin(self):
        self._variables = tf.global_variables()
        marks = [tf.fingerprint(tf.reshape(variable, [1, -1])) for variable in self._variables]
        self._marks = self.cluster.all_gather(tf.cast(tf.reshape(tf.concat(marks, 0), [-1]), tf.int32))

    def act(self, session, step, metrics, is_last):
        if self.schedule.is_saved(step) or is_last:
            self.start(session, step)

    def start(self, session, step):
        names = self.cluster.names
        marks = session.run(self._marks).reshape(len(names), len(self._variables), -1)
        for name, theirs in zip(names, marks, strict=True):
            differing = (theirs != marks[0]).any(-1)
            if differing.any():
                first = self._variables[differing.argmax()].op.name
                raise UserError(
                    f'at step {step}, {name} and {names[0]} hold different weights: {differing.sum()} of '
                    f'{len(differing)} variables differ, first {first}; this state is not saved. CPUs that round '
                    'differently cause this, or bad memory. Start the same command on all workers to resume from the '
                    'last checkpoint')


@dataclasses.dataclass(eq=False)
class NanHook(_StepHook):
    """Ends the run if a loss is NaN or infinite, or a variable is when it is to be saved or drawn from."""

    checkpoints: Checkpoints
    last: str = ''  # the last finite losses

    def begin(self):
        self._finite = tf.reduce_all([tf.reduce_all(tf.is_finite(variable)) for variable in tf.global_variables()
                                      if variable.dtype.is_floating])

    def act(self, session, step, metrics, is_last):
        for name in 'g_loss', 'd_loss':
            if not math.isfinite(metrics[name]):
                raise self._error(f'{name} is {"NaN" if math.isnan(metrics[name]) else "infinite"}', step)
        self.last = f', after g_loss {metrics["g_loss"]:.4g} and d_loss {metrics["d_loss"]:.4g} at step {step}'
        is_due = self.schedule.is_saved(step) or self.schedule.is_sampled(step) or is_last
        if is_due and not session.run(self._finite):
            raise self._error('a variable is NaN or infinite', step)

    def _error(self, problem, step):
        return UserError(f'{problem} at step {step}{self.last}; this state is not saved. The last good checkpoint is '
                         f'{self.checkpoints.path(self.checkpoints.latest)}. The same command would fail again: try '
                         'a lower --learning_rate or another --seed, with another --model_dir')


@dataclasses.dataclass(eq=False)
class SampleHook(_StepHook):
    """Draws a grid before the first step, after each step that is due, and at the end of the run.

    One that an interruption adds shows the weights that are saved, and stays when the run resumes.
    """

    directory: RunDirectory
    event_log: EventLog

    def start(self, session, step):
        if step == 0:
            self.act(session, step, {}, False)

    def act(self, session, step, metrics, is_last):
        if self.schedule.is_sampled(step) or is_last:
            png = session.run(self.graph.samples)
            self.directory.write(samples_name(step), png)
            self.event_log.image(step, 'samples', png)


@dataclasses.dataclass(eq=False)
class LogHook(_StepHook):
    """Logs losses, spread, collapse and speed every N steps, and metrics when they are due."""

    event_log: EventLog
    detector: CollapseDetector
    evaluator: TrainingEvaluator | None

    def start(self, session, step):
        self._logged_step, self._logged_time = step, time.perf_counter()

    def act(self, session, step, metrics, is_last):
        if not self.schedule.is_logged(step):
            return
        now = time.perf_counter()
        rate = (step - self._logged_step) * self.schedule.step_images / (now - self._logged_time)
        self._logged_step, self._logged_time = step, now
        entry = {'step': step, 'epoch': self.schedule.epoch(step),
                 **{name: float(metrics[name]) for name in ('g_loss', 'd_loss', 'spread')}}
        before = self.detector.message
        self.detector.update(entry)
        if self.detector.message != before:
            with contextlib.suppress(OSError):  # ProgressHook handles a reader that is gone
                tqdm.write(_describe_signs(step, self.detector.message))
        entry |= {'collapse': int(bool(self.detector.message)), 'images_per_second': rate}
        if self.schedule.is_evaluated(step):
            entry |= self.evaluator.measure(session, step)
            self._logged_time = time.perf_counter()  # the next rate is that of training alone
        self.event_log.scalars(entry)


def _describe_signs(step, signs):
    if not signs:
        return f'step {step}: the signs of collapse are gone'
    return f'step {step}: {signs}, in medians of the last {WINDOW} steps; look at the grids (docs/training.md)'


@dataclasses.dataclass(eq=False)
class ProgressHook(_StepHook):
    """Shows step, epoch, losses, images per second, time left and signs of collapse.

    On a terminal it is a bar; elsewhere a line for each step that is logged, and for the last.
    """

    detector: CollapseDetector
    evaluator: TrainingEvaluator | None
    stop: StopHook

    def start(self, session, step):
        images = self.schedule.step_images
        self._first_step, self._start = step, time.monotonic()
        self._bar = tqdm(total=self.schedule.last_step * images, initial=step * images, unit=' img', dynamic_ncols=True,
                         disable=not sys.stderr.isatty(),
                         bar_format='{desc} {rate_fmt} {remaining} left{postfix} |{bar}|')
        self._bar.set_description_str(self._describe(step), refresh=False)

    def act(self, session, step, metrics, is_last):
        text = f'{self._describe(step)} g_loss {metrics["g_loss"]:.3f} d_loss {metrics["d_loss"]:.3f}'
        more = ', '.join(filter(None, [self.evaluator and self.evaluator.describe(), self.detector.message]))
        try:
            if not self._bar.disable:
                self._bar.set_description_str(text, refresh=False)
                self._bar.set_postfix_str(more, refresh=False)
                self._bar.update(self.schedule.step_images)
            elif self.schedule.is_logged(step) or is_last:
                print(f'{text} {self._speed(step)}{more and f", {more}"}', file=sys.stderr, flush=True)
        except OSError:  # its reader is gone, as "| tee" is after the Ctrl-C that the run gets, too
            self.stop.number = self.stop.number or SIGPIPE

    def close(self):
        """Leaves the bar as it is, so that what is printed next has its own line."""
        with contextlib.suppress(OSError, AttributeError):  # no bar yet
            self._bar.close()

    def _describe(self, step):
        last_step = self.schedule.last_step
        return f'step {step}/{last_step} epoch {self.schedule.epoch(step)}/{self.schedule.epoch(last_step)}'

    def _speed(self, step):
        """Returns the images per second and the time left as text, from the mean since the start."""
        seconds = (time.monotonic() - self._start) / (step - self._first_step)
        left = datetime.timedelta(seconds=round(seconds * (self.schedule.last_step - step)))
        return f'{self.schedule.step_images / seconds:.1f} images/s {left} left'


@dataclasses.dataclass(eq=False)
class CheckpointHook(_StepHook):
    """Saves a checkpoint before the first step, after each step that is due, and at the end of the run.

    It is the last hook: its step is logged before it is saved, so a run that resumes from there misses nothing.
    """

    checkpoints: Checkpoints
    saver: tf.train.Saver

    def start(self, session, step):
        if self.checkpoints.latest is None:
            self.act(session, step, {}, True)

    def act(self, session, step, metrics, is_last):
        if self.schedule.is_saved(step) or is_last:
            self.checkpoints.save(session, self.saver, step, self.schedule.epoch_steps)


def chief_hooks(stack, run, saver, graph, schedule, stop, real_images, cache_dir):
    """Returns the hooks that watch, draw, log and save a run, in the order in which they act.

    Args:
      stack: an ExitStack, which ends the progress.
      run: the Checkpoints of the run.
      saver: a Saver of all variables.
      graph: the TrainGraph.
      schedule: the Schedule.
      stop: the StopHook.
      real_images: the RealImages of the training.
      cache_dir: folder of temporary files.
    """
    event_log = EventLog(run.directory, run.latest or 0, tf.get_default_graph())
    detector = CollapseDetector(event_log.entries)
    evaluator = schedule.config.evaluate_steps and TrainingEvaluator(
        graph, real_images, run, event_log.entries, cache_dir)
    progress = stack.enter_context(contextlib.closing(ProgressHook(graph, schedule, detector, evaluator, stop)))
    return [
        progress,
        NanHook(graph, schedule, run),
        SampleHook(graph, schedule, run.directory, event_log),
        LogHook(graph, schedule, event_log, detector, evaluator),
        CheckpointHook(graph, schedule, run, saver),
    ]
