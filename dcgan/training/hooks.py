"""What happens besides training, one duty per hook.

Hooks fetch the same few tensors in the same ``session.run`` as the train op, at every step: fetching others at some
steps would run another graph there, optimized in another way.
"""

import contextlib
import datetime
import math
import sys
import time

import tensorflow.compat.v1 as tf
from tqdm import tqdm

from dcgan.errors import UserError
from dcgan.runs.event_log import EventLog
from dcgan.runs.run_directory import samples_name
from dcgan.signals import SIGPIPE, STOP_SIGNALS, answering_at_once, handle_stop_signals
from dcgan.training.collapse import WINDOW, CollapseDetector
from dcgan.training.evaluation import TrainingEvaluator


class StopHook(tf.train.SessionRunHook):
    """Lets Ctrl-C, SIGTERM and SIGHUP end the run after the current step, so that it is saved.

    It listens within its context. A second signal ends the process at once.

    Attributes:
      number: of the signal that came, or with which ``request`` was called; None if neither was.
    """

    def __init__(self):
        self.number = None

    def __enter__(self):
        self._previous = handle_stop_signals(lambda number, frame: self.request(number))
        self._answering = answering_at_once(
            'finishing this step, then saving; Ctrl-C again to quit now',
            'stopped at once, without saving; run the same command again to resume from the last checkpoint')
        self._answering.__enter__()
        return self

    def __exit__(self, *exception):
        self._answering.__exit__(*exception)
        handle_stop_signals(self._previous)

    def after_run(self, run_context, run_values):
        if self.number is not None:
            run_context.request_stop()

    def request(self, number):
        """Ends the run as if that signal had come."""
        self.number = number


class SharedStopHook(StopHook):
    """A StopHook that stops all workers after the same step: a signal to one is all-reduced in the next step."""

    NUMBERS = *STOP_SIGNALS, SIGPIPE

    def __init__(self, cluster):
        """Takes the Cluster."""
        super().__init__()
        requested = tf.get_variable('requested_stop', len(self.NUMBERS), initializer=tf.zeros_initializer(),
                                    trainable=False, collections=[tf.GraphKeys.LOCAL_VARIABLES])
        self._publish = {number: requested.assign(tf.one_hot(place, len(self.NUMBERS))).op
                         for place, number in enumerate(self.NUMBERS)}
        self._requested, = cluster.all_reduce_mean([requested.read_value()])

    def before_run(self, run_context):
        if self.number is not None:
            run_context.session.run(self._publish[self.number])
        return tf.train.SessionRunArgs(self._requested)

    def after_run(self, run_context, run_values):
        if run_values.results.any():
            self.request(self.NUMBERS[run_values.results.argmax()])
            run_context.request_stop()


class _MetricsHook(tf.train.SessionRunHook):
    """Fetches the metrics of each step for its subclasses."""

    def __init__(self, metrics, schedule):
        """Takes the metrics of the TrainGraph and the Schedule."""
        self._metrics = metrics
        self._schedule = schedule

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._metrics)


class SyncCheckHook(_MetricsHook):
    """Ends the run if the workers' variables differ in any bit, at the start and before each checkpoint."""

    def __init__(self, cluster, metrics, schedule):
        """Takes the Cluster, the metrics of the TrainGraph and the Schedule."""
        super().__init__(metrics, schedule)
        self._cluster = cluster

    def begin(self):
        self._variables = tf.global_variables()
        marks = [tf.fingerprint(tf.reshape(variable, [1, -1])) for variable in self._variables]
        self._marks = self._cluster.all_gather(tf.cast(tf.reshape(tf.concat(marks, 0), [-1]), tf.int32))

    def after_create_session(self, session, coord):
        self._compare(session, session.run(tf.train.get_global_step()))

    def after_run(self, run_context, run_values):
        step = run_values.results['step']
        if self._schedule.is_saved(step) or run_context.stop_requested:
            self._compare(run_context.session, step)

    def _compare(self, session, step):
        marks = session.run(self._marks).reshape(self._cluster.world_size, len(self._variables), -1)
        for name, theirs in zip(self._cluster.names, marks, strict=True):
            differing = (theirs != marks[0]).any(-1)
            if differing.any():
                first = self._variables[differing.argmax()].op.name
                raise UserError(
                    f'at step {step}, {name} and {self._cluster.names[0]} hold different weights: {differing.sum()} of '
                    f'{len(differing)} variables differ, first {first}; this state is not saved. CPUs that round '
                    'differently cause this, or bad memory. Start the same command on all workers to resume from the '
                    'last checkpoint')


class NanHook(_MetricsHook):
    """Ends the run if a loss is NaN or infinite, or a variable is when it is to be saved or drawn from."""

    def __init__(self, checkpoints, metrics, schedule):
        """Takes the Checkpoints, the metrics of the TrainGraph and the Schedule."""
        super().__init__(metrics, schedule)
        self._checkpoints = checkpoints
        self._last = ''

    def begin(self):
        self._finite = tf.reduce_all([tf.reduce_all(tf.is_finite(variable)) for variable in tf.global_variables()
                                      if variable.dtype.is_floating])

    def after_run(self, run_context, run_values):
        metrics = run_values.results
        step = metrics['step']
        for name in 'g_loss', 'd_loss':
            if not math.isfinite(metrics[name]):
                raise self._error(f'{name} is {_name(metrics[name])} at step {step}{self._last}')
        self._last = f', after g_loss {metrics["g_loss"]:.4g} and d_loss {metrics["d_loss"]:.4g} at step {step}'
        is_due = self._schedule.is_saved(step) or self._schedule.is_sampled(step) or run_context.stop_requested
        if is_due and not run_context.session.run(self._finite):
            raise self._error(f'a variable is NaN or infinite at step {step}{self._last}')

    def _error(self, problem):
        return UserError(f'{problem}; this state is not saved. The last good checkpoint is '
                         f'{self._checkpoints.path(self._checkpoints.latest)}. The same command would fail again: try '
                         'a lower --learning_rate or another --seed, with another --model_dir')


def _name(value):
    return 'NaN' if math.isnan(value) else 'infinite'


class SampleHook(_MetricsHook):
    """Draws a grid before the first step, after each step that is due, and at the end of the run.

    One that an interruption adds shows the weights that are saved, and stays when the run resumes.
    """

    def __init__(self, directory, event_log, graph, schedule):
        """Takes the RunDirectory, the EventLog, the TrainGraph and the Schedule."""
        super().__init__(graph.metrics, schedule)
        self._directory = directory
        self._event_log = event_log
        self._samples = graph.samples

    def after_create_session(self, session, coord):
        if session.run(tf.train.get_global_step()) == 0:
            self._draw(session, 0)

    def after_run(self, run_context, run_values):
        step = int(run_values.results['step'])
        if self._schedule.is_sampled(step) or run_context.stop_requested:
            self._draw(run_context.session, step)

    def _draw(self, session, step):
        png = session.run(self._samples)
        self._directory.write(samples_name(step), png)
        self._event_log.image(step, 'samples', png)


class LogHook(_MetricsHook):
    """Logs losses, spread, collapse and speed every N steps, and metrics when they are due."""

    def __init__(self, event_log, detector, evaluator, metrics, schedule):
        """Takes the EventLog, the CollapseDetector, the TrainingEvaluator (None without --evaluate_steps), the metrics
        of the TrainGraph and the Schedule.
        """
        super().__init__(metrics, schedule)
        self._event_log = event_log
        self._detector = detector
        self._evaluator = evaluator

    def after_create_session(self, session, coord):
        self._logged_step = session.run(tf.train.get_global_step())
        self._logged_time = time.perf_counter()

    def after_run(self, run_context, run_values):
        step = int(run_values.results['step'])
        if not self._schedule.is_logged(step):
            return
        now = time.perf_counter()
        rate = (step - self._logged_step) * self._schedule.step_images / (now - self._logged_time)
        self._logged_step, self._logged_time = step, now
        entry = {'step': step, 'epoch': self._schedule.epoch(step),
                 **{name: float(run_values.results[name]) for name in ('g_loss', 'd_loss', 'spread')}}
        before = self._detector.message
        self._detector.update(entry)
        if self._detector.message != before:
            with contextlib.suppress(OSError):  # ProgressHook handles a reader that is gone
                tqdm.write(_describe_signs(step, self._detector.message))
        entry |= {'collapse': int(bool(self._detector.message)), 'images_per_second': rate}
        if self._schedule.is_evaluated(step):
            entry |= self._evaluator.measure(run_context.session, step)
            self._logged_time = time.perf_counter()  # the next rate is that of training alone
        self._event_log.scalars(entry)


def _describe_signs(step, signs):
    if not signs:
        return f'step {step}: the signs of collapse are gone'
    return (f'step {step}: {signs}, in medians of the last {WINDOW} steps. In 6 of 6 small runs this passed by itself, '
            'by step 2,540 (docs/training.md); look at the grids')


class ProgressHook(_MetricsHook):
    """Shows step, epoch, losses, images per second, time left and signs of collapse, within its context.

    On a terminal it is a bar; elsewhere a line for each step that is logged, and for the last.
    """

    def __init__(self, detector, evaluator, metrics, schedule, stop):
        """Takes what LogHook takes, except the EventLog, and the StopHook."""
        super().__init__(metrics, schedule)
        self._detector = detector
        self._evaluator = evaluator
        self._stop = stop
        self._bar = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        """Leaves the bar as it is, so that what is printed next has its own line."""
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.close()

    def after_create_session(self, session, coord):
        step = session.run(tf.train.get_global_step())
        self._first_step, self._start = step, time.monotonic()
        images = self._schedule.step_images
        if sys.stderr.isatty():
            self._bar = tqdm(total=self._schedule.last_step * images, initial=step * images, unit=' img',
                             dynamic_ncols=True, bar_format='{desc} {rate_fmt} {remaining} left{postfix} |{bar}|')
            self._bar.set_description_str(self._describe(step), refresh=False)

    def after_run(self, run_context, run_values):
        metrics = run_values.results
        step = int(metrics['step'])
        text = f'{self._describe(step)} g_loss {metrics["g_loss"]:.3f} d_loss {metrics["d_loss"]:.3f}'
        more = ', '.join(filter(None, [self._evaluator and self._evaluator.describe(), self._detector.message]))
        try:
            if self._bar is not None:
                self._bar.set_description_str(text, refresh=False)
                self._bar.set_postfix_str(more, refresh=False)
                self._bar.update(self._schedule.step_images)
            elif self._schedule.is_logged(step) or run_context.stop_requested:
                print(f'{text} {self._speed(step)}{more and f", {more}"}', file=sys.stderr, flush=True)
        except OSError:  # its reader is gone, as "| tee" is after the Ctrl-C that the run gets, too
            self._stop.request(SIGPIPE)

    def _describe(self, step):
        last_step = self._schedule.last_step
        return f'step {step}/{last_step} epoch {self._schedule.epoch(step)}/{self._schedule.epoch(last_step)}'

    def _speed(self, step):
        """Returns the images per second and the time left as text, from the mean since the start."""
        seconds = (time.monotonic() - self._start) / (step - self._first_step)
        left = datetime.timedelta(seconds=round(seconds * (self._schedule.last_step - step)))
        return f'{self._schedule.step_images / seconds:.1f} images/s {left} left'


class CheckpointHook(_MetricsHook):
    """Saves a checkpoint before the first step, after each step that is due, and at the end of the run.

    It is the last hook: its step is logged before it is saved, so a run that resumes from there misses nothing.
    """

    def __init__(self, checkpoints, saver, metrics, schedule):
        """Takes the Checkpoints, a Saver, the metrics of the TrainGraph and the Schedule."""
        super().__init__(metrics, schedule)
        self._checkpoints = checkpoints
        self._saver = saver

    def after_create_session(self, session, coord):
        if self._checkpoints.latest is None:
            self._save(session, 0)

    def after_run(self, run_context, run_values):
        step = int(run_values.results['step'])
        if self._schedule.is_saved(step) or run_context.stop_requested:
            self._save(run_context.session, step)

    def _save(self, session, step):
        self._checkpoints.save(session, self._saver, step, self._schedule.epoch_steps)


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
    return [
        stack.enter_context(ProgressHook(detector, evaluator, graph.metrics, schedule, stop)),
        NanHook(run, graph.metrics, schedule),
        SampleHook(run.directory, event_log, graph, schedule),
        LogHook(event_log, detector, evaluator, graph.metrics, schedule),
        CheckpointHook(run, saver, graph.metrics, schedule),
    ]
