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

from dcgan.distributed.collectives import Cluster, SingleWorker
from dcgan.errors import UserError, reason_of
from dcgan.runs.checkpoints import Checkpoints
from dcgan.runs.event_log import EventLog
from dcgan.runs.run_directory import samples_name
from dcgan.signals import SIGPIPE, STOP_SIGNALS, say
from dcgan.training.collapse import CollapseDetector
from dcgan.training.evaluation import TrainingEvaluator
from dcgan.training.graph import TrainGraph
from dcgan.training.schedule import Schedule


class StopHook(tf.train.SessionRunHook):
    """Ends the run after the current step, so that it is saved, when ``number`` is set.

    Attributes:
      number: of the signal that asked for it; None if none did.
      error: the UserError that ends the run once it is saved; None if there is none.
    """

    def __init__(self):
        self.number = self.error = None
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


@dataclasses.dataclass
class HookContext:
    """What the hooks of a run share.

    Attributes:
      graph: the TrainGraph.
      schedule: the Schedule.
      cluster: the SingleWorker or Cluster.
      stop: the StopHook.
      saver: a Saver of all variables.
      run: the Checkpoints of the run; this and what follows are None on a worker that is not the chief.
      event_log: the EventLog.
      detector: a CollapseDetector.
      evaluator: a TrainingEvaluator; None also without --evaluate_steps.
    """

    graph: TrainGraph
    schedule: Schedule
    cluster: SingleWorker | Cluster
    stop: StopHook
    saver: tf.train.Saver
    run: Checkpoints | None
    event_log: EventLog | None = None
    detector: CollapseDetector | None = None
    evaluator: TrainingEvaluator | None = None


class _StepHook(tf.train.SessionRunHook):
    """Calls ``start`` before the first step of this process, and ``act`` after each step.

    Attributes:
      context: the HookContext.
    """

    def __init__(self, context):
        self.context = context

    def after_create_session(self, session, coord):
        self.start(session, int(session.run(tf.train.get_global_step())))

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self.context.graph.metrics)

    def after_run(self, run_context, run_values):
        metrics = run_values.results
        self.act(run_context.session, int(metrics['step']), metrics, run_context.stop_requested)

    def start(self, session, step):
        """Acts before the first step; ``step`` are done already."""

    def act(self, session, step, metrics, is_last):
        """Acts after a step, with its metrics; ``is_last``: the run stops after it."""


class SyncCheckHook(_StepHook):
    """Ends the run if the workers' variables differ in any bit, at the start and before each checkpoint."""

    def begin(self):
        self._variables = tf.global_variables()
        marks = [tf.fingerprint(tf.reshape(variable, [1, -1])) for variable in self._variables]
        self._marks = self.context.cluster.all_gather(tf.cast(tf.reshape(tf.concat(marks, 0), [-1]), tf.int32))

    def act(self, session, step, metrics, is_last):
        if self.context.schedule.is_saved(step) or is_last:
            self.start(session, step)

    def start(self, session, step):
        names = self.context.cluster.names
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


class NanHook(_StepHook):
    """Ends the run if a loss is NaN or infinite, or a variable is when it is to be saved or drawn from."""

    last = ''  # the last finite losses

    def begin(self):
        self._finite = tf.reduce_all([tf.reduce_all(tf.is_finite(variable)) for variable in tf.global_variables()
                                      if variable.dtype.is_floating])

    def act(self, session, step, metrics, is_last):
        for name in 'g_loss', 'd_loss':
            if not math.isfinite(metrics[name]):
                raise self._error(f'{name} is {"NaN" if math.isnan(metrics[name]) else "infinite"}', step)
        self.last = f', after g_loss {metrics["g_loss"]:.4g} and d_loss {metrics["d_loss"]:.4g} at step {step}'
        is_due = self.context.schedule.is_saved(step) or self.context.schedule.is_sampled(step) or is_last
        if is_due and not session.run(self._finite):
            raise self._error('a variable is NaN or infinite', step)

    def _error(self, problem, step):
        return UserError(f'{problem} at step {step}{self.last}; this state is not saved. The last good checkpoint is '
                         f'{self.context.run.path(self.context.run.latest)}. The same command would fail again: try '
                         'a lower --learning_rate or another --seed, with another --model_dir')


class _RecordHook(_StepHook):
    """A hook whose errors end the run only once the step is saved."""

    def after_run(self, run_context, run_values):
        try:
            super().after_run(run_context, run_values)
        except (UserError, tf.errors.OpError, MemoryError) as error:
            reported = error if isinstance(error, UserError) else UserError(reason_of(error))
            self.context.stop.error = self.context.stop.error or reported
            run_context.request_stop()


class SampleHook(_RecordHook):
    """Draws a grid before the first step, after each step that is due, and at the end of the run.

    One that an interruption adds shows the weights that are saved, and stays when the run resumes.
    """

    def start(self, session, step):
        if step == 0:
            self.act(session, step, {}, False)

    def act(self, session, step, metrics, is_last):
        if self.context.schedule.is_sampled(step) or is_last:
            png = session.run(self.context.graph.samples)
            self.context.run.directory.write(samples_name(step), png)
            self.context.event_log.image(step, 'samples', png)


class LogHook(_RecordHook):
    """Logs losses, spread, collapse and speed every N steps, and metrics when they are due."""

    def start(self, session, step):
        self._logged_step, self._logged_time = step, time.perf_counter()

    def act(self, session, step, metrics, is_last):
        if not self.context.schedule.is_logged(step):
            return
        now = time.perf_counter()
        rate = (step - self._logged_step) * self.context.schedule.step_images / (now - self._logged_time)
        self._logged_step, self._logged_time = step, now
        entry = {'step': step, 'epoch': self.context.schedule.epoch(step),
                 **{name: float(metrics[name]) for name in ('g_loss', 'd_loss', 'spread')}}
        self.context.detector.update(entry)
        entry |= {'collapse': int(bool(self.context.detector.message)), 'images_per_second': rate}
        try:
            if self.context.schedule.is_evaluated(step):
                entry |= self.context.evaluator.measure(session, step)
                self._logged_time = time.perf_counter()  # the next rate is that of training alone
        finally:
            self.context.event_log.scalars(entry)


class ProgressHook(_StepHook):
    """Shows step, epoch, losses, images per second, time left and signs of collapse.

    On a terminal it is a bar; elsewhere a line for each step that is logged, and for the last.
    """

    def start(self, session, step):
        schedule = self.context.schedule
        self._first_step, self._start = step, time.monotonic()
        self._bar = tqdm(total=schedule.last_step * schedule.step_images, initial=step * schedule.step_images,
                         unit=' img', dynamic_ncols=True, disable=not sys.stderr.isatty(),
                         bar_format='{desc} {rate_fmt} {remaining} left{postfix} |{bar}|')
        self._bar.set_description_str(self._describe(step), refresh=False)

    def act(self, session, step, metrics, is_last):
        schedule, evaluator, stop = self.context.schedule, self.context.evaluator, self.context.stop
        text = f'{self._describe(step)} g_loss {metrics["g_loss"]:.3f} d_loss {metrics["d_loss"]:.3f}'
        more = ', '.join(filter(None, [evaluator and evaluator.describe(), self.context.detector.message]))
        try:
            if self._bar.disable and (schedule.is_logged(step) or is_last):
                print(f'{text} {self._speed(step)}{more and f", {more}"}', file=sys.stderr, flush=True)
            elif stop.number is None:
                self._bar.set_description_str(text, refresh=False)
                self._bar.set_postfix_str(more, refresh=False)
                self._bar.update(schedule.step_images)
        except OSError:  # its reader is gone, as "| tee" is after the Ctrl-C that the run gets, too
            stop.number = stop.number or SIGPIPE

    def close(self):
        """Leaves the bar as it is, so that what is printed next has its own line; a signal's answer is below it."""
        with contextlib.suppress(OSError, AttributeError):  # no bar yet
            self._bar.leave = self.context.stop.number is None
            self._bar.close()

    def _describe(self, step):
        schedule = self.context.schedule
        return (f'step {step}/{schedule.last_step} epoch {schedule.epoch(step)}/{schedule.epoch(schedule.last_step)}')

    def _speed(self, step):
        """Returns the images per second and the time left as text, from the mean since the start."""
        seconds = (time.monotonic() - self._start) / (step - self._first_step)
        left = datetime.timedelta(seconds=round(seconds * (self.context.schedule.last_step - step)))
        return f'{self.context.schedule.step_images / seconds:.1f} images/s {left} left'


class CheckpointHook(_StepHook):
    """Saves a checkpoint before the first step, after each step that is due, and at the end of the run.

    It is the last hook: its step is logged before it is saved, so a run that resumes from there misses nothing.
    """

    def start(self, session, step):
        if self.context.run.latest is None:
            self.act(session, step, {}, True)

    def act(self, session, step, metrics, is_last):
        if self.context.schedule.is_saved(step) or is_last:
            self.context.event_log.flush()
            self.context.run.save(session, self.context.saver, step, self.context.schedule.epoch_steps)


def chief_hooks(context, stack, real_images, cache_dir):
    """Returns the hooks that watch, draw, log and save a run, in the order in which they act.

    Args:
      context: the HookContext; gets its log, detector and evaluator.
      stack: an ExitStack, which ends the progress.
      real_images: the RealImages of the training.
      cache_dir: folder of temporary files.
    """
    run = context.run
    context.event_log = EventLog(run.directory, run.latest or 0, tf.get_default_graph())
    context.detector = CollapseDetector(context.event_log.entries)
    context.evaluator = context.schedule.config.evaluate_steps and TrainingEvaluator(
        context.graph, real_images, run, context.event_log.entries, cache_dir)
    progress = stack.enter_context(contextlib.closing(ProgressHook(context)))
    return [progress, *(hook(context) for hook in (NanHook, SampleHook, LogHook, CheckpointHook))]
