"""What happens beside training, one duty a hook.

Hooks fetch the same few tensors in the same ``session.run`` as the train op, at every step: to fetch others at some
steps would be to run another graph, optimised otherwise, at these.
"""

import contextlib
import math
import signal
import time

import tensorflow.compat.v1 as tf
from tqdm import tqdm

from runtime.errors import RunError
from runtime.stop import SIGNALS, abandon


class StopHook(tf.train.SessionRunHook):
    """Lets Ctrl-C and SIGTERM end the run after the step at hand, so that it is saved.

    It listens within its context. Python hears of a signal when the step is done; another one from then on, while
    saving, ends the run at once.

    Attributes:
      number: of the signal that came, or as which ``ask`` was called; None if neither was.
    """

    def __enter__(self):
        self.number = None
        self._former = {number: signal.signal(number, self._stop) for number in SIGNALS}
        return self

    def __exit__(self, *exception):
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def after_run(self, run_context, run_values):
        if self.number is not None:
            run_context.request_stop()

    def ask(self, number):
        """Ends the run as if that signal had come."""
        self.number = number

    def _stop(self, number, frame):
        self.ask(number)
        for either in SIGNALS:
            signal.signal(either, abandon)


class SharedStopHook(StopHook):
    """A StopHook that ends the runs of all workers after the same step: what came to one is exchanged with the next."""

    NUMBERS = *SIGNALS, signal.SIGPIPE

    def __init__(self, average):
        """Takes a function that returns the means of a list of tensors over all workers."""
        asked = tf.get_variable('asked_to_stop', len(self.NUMBERS), initializer=tf.zeros_initializer(),
                                trainable=False, collections=[tf.GraphKeys.LOCAL_VARIABLES])
        self._tell = {number: asked.assign(tf.one_hot(place, len(self.NUMBERS))).op
                      for place, number in enumerate(self.NUMBERS)}
        self._asked, = average([asked.read_value()])

    def before_run(self, run_context):
        if self.number is not None:
            run_context.session.run(self._tell[self.number])
        return tf.train.SessionRunArgs(self._asked)

    def after_run(self, run_context, run_values):
        if run_values.results.any():
            self._stop(self.NUMBERS[run_values.results.argmax()], None)
            run_context.request_stop()


class AgreeHook(tf.train.SessionRunHook):
    """Ends the run where the workers do not hold the same variables, bit for bit: at its start, and when one saves."""

    def __init__(self, cluster, step, is_due):
        """Takes the Cluster, the tensor of the step, and which are saved."""
        self._cluster = cluster
        self._step = step
        self._is_due = is_due

    def begin(self):
        self._variables = tf.global_variables()
        marks = [tf.fingerprint(tf.reshape(variable, [1, -1])) for variable in self._variables]
        self._marks = self._cluster.gather(tf.cast(tf.reshape(tf.concat(marks, 0), [-1]), tf.int32))

    def after_create_session(self, session, coord):
        self._compare(session, session.run(tf.train.get_global_step()))

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._step)

    def after_run(self, run_context, run_values):
        if self._is_due(run_values.results) or run_context.stop_requested:
            self._compare(run_context.session, run_values.results)

    def _compare(self, session, step):
        marks = session.run(self._marks).reshape(self._cluster.count, len(self._variables), -1)
        for name, theirs in zip(self._cluster.names, marks, strict=True):
            differing = (theirs != marks[0]).any(-1)
            if differing.any():
                first = self._variables[differing.argmax()].op.name
                raise RunError(
                    f'at step {step}, {name} holds other weights than {self._cluster.names[0]}: {differing.sum()} of '
                    f'{len(differing)} variables differ, {first} first; nothing of that is saved. Processors that '
                    'round otherwise would do that, or damaged memory. The same command on all goes on from the last '
                    'checkpoint')


class WatchHook(tf.train.SessionRunHook):
    """Ends the run where a loss is NaN or infinite, or a variable is when it is to be saved or drawn from."""

    def __init__(self, checkpoints, measures, is_due):
        """Takes the Checkpoints, the tensors {'step', 'g_loss', 'd_loss'}, and which steps are saved or drawn from."""
        self._checkpoints = checkpoints
        self._measures = measures
        self._is_due = is_due
        self._losses = 'none before'

    def begin(self):
        self._finite = tf.reduce_all([tf.reduce_all(tf.is_finite(variable)) for variable in tf.global_variables()
                                      if variable.dtype.is_floating])

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._measures)

    def after_run(self, run_context, run_values):
        measured = run_values.results
        step, losses = measured['step'], f'g_loss {measured["g_loss"]:.4g} and d_loss {measured["d_loss"]:.4g}'
        if not (math.isfinite(measured['g_loss']) and math.isfinite(measured['d_loss'])):
            raise self._error(f'at step {step} {losses} are no finite numbers, after {self._losses}')
        self._losses = f'{losses} at step {step}'
        if ((self._is_due(step) or run_context.stop_requested)
                and not run_context.session.run(self._finite)):
            raise self._error(f'variables are no finite numbers any more, after {self._losses}')

    def _error(self, what):
        return RunError(f'{what}; nothing of that is saved. The last good checkpoint is '
                        f'{self._checkpoints.path(self._checkpoints.latest)}. The same command would come to the same '
                        'again: a lower --learning_rate or another --seed, with another --model_dir, may do better')


class SampleHook(tf.train.SessionRunHook):
    """Draws a grid before the first step and after those that are due."""

    def __init__(self, directory, journal, grid, step, is_due):
        """Takes a RunDirectory, a Journal, the grid as a PNG tensor, the tensor of the step, and which are due."""
        self._directory = directory
        self._journal = journal
        self._grid = grid
        self._step = step
        self._is_due = is_due

    def after_create_session(self, session, coord):
        if session.run(tf.train.get_global_step()) == 0:
            self._draw(session, 0)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._step)

    def after_run(self, run_context, run_values):
        step = int(run_values.results)
        if self._is_due(step):
            self._draw(run_context.session, step)

    def _draw(self, session, step):
        png = session.run(self._grid)
        self._directory.write(f'samples/step-{step:07d}.png', png)
        self._journal.image(step, 'samples', png)


class LogHook(tf.train.SessionRunHook):
    """Every so many steps, records losses, spread, collapse and speed."""

    def __init__(self, journal, collapse, measures, every_steps, batch_size, steps_per_epoch):
        """Takes a Journal, a Collapse, {'step', 'g_loss', 'd_loss', 'spread'}, and the lengths of a step, an epoch."""
        self._journal = journal
        self._collapse = collapse
        self._measures = measures
        self._every_steps = every_steps
        self._batch_size = batch_size
        self._steps_per_epoch = steps_per_epoch

    def after_create_session(self, session, coord):
        self._logged_step = session.run(tf.train.get_global_step())
        self._logged_time = time.perf_counter()

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._measures)

    def after_run(self, run_context, run_values):
        step = int(run_values.results['step'])
        if step % self._every_steps:
            return
        now = time.perf_counter()
        rate = (step - self._logged_step) * self._batch_size / (now - self._logged_time)
        self._logged_step, self._logged_time = step, now
        entry = {'step': step, 'epoch': epoch_of(step, self._steps_per_epoch),
                 **{name: float(run_values.results[name]) for name in ('g_loss', 'd_loss', 'spread')}}
        before = self._collapse.words
        self._collapse.see(entry)
        if self._collapse.words != before:
            with contextlib.suppress(OSError):  # the bar sees to it
                tqdm.write(f'step {step}: collapse: {self._collapse.words or "no more"}')
        self._journal.scalars({**entry, 'collapse': int(bool(self._collapse.words)), 'images_per_second': rate})


class ProgressHook(tf.train.SessionRunHook):
    """A progress bar: step, epoch, both losses, images a second, time left, and whether the run has collapsed."""

    def __init__(self, collapse, measures, last_step, batch_size, steps_per_epoch, ask_to_stop):
        """Takes a Collapse, the tensors {'step', 'g_loss', 'd_loss'}, and the lengths of the run, a step, an epoch.

        ``ask_to_stop`` is called with SIGPIPE where nobody reads the bar any more.
        """
        self._ask_to_stop = ask_to_stop
        self._collapse = collapse
        self._measures = measures
        self._last_step = last_step
        self._batch_size = batch_size
        self._steps_per_epoch = steps_per_epoch
        self._bar = None

    def after_create_session(self, session, coord):
        step = session.run(tf.train.get_global_step())
        self._bar = tqdm(total=self._last_step * self._batch_size, initial=step * self._batch_size, unit=' images',
                         dynamic_ncols=True, bar_format='{desc} {rate_fmt} {remaining} left |{bar}|')
        self._describe(step)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._measures)

    def after_run(self, run_context, run_values):
        measured = run_values.results
        try:
            self._describe(measured['step'], f' g_loss {measured["g_loss"]:.3f} d_loss {measured["d_loss"]:.3f}')
            self._bar.update(self._batch_size)
        except OSError:  # whoever read it is gone, as a "| tee" is by the Ctrl-C that the run gets, too
            self._ask_to_stop(signal.SIGPIPE)

    def close(self):
        """Leaves the bar as it stands, if there is one yet, so that what is printed next has its own line."""
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.close()

    def _describe(self, step, losses=''):
        epoch, epochs = (epoch_of(number, self._steps_per_epoch) for number in (step, self._last_step))
        collapsed = ' COLLAPSED' if self._collapse.words else ''
        self._bar.set_description_str(f'step {step}/{self._last_step} epoch {epoch}/{epochs}{losses}{collapsed}',
                                      refresh=False)


class CheckpointHook(tf.train.SessionRunHook):
    """Saves a checkpoint before the first step, after those that are due, and where the run ends.

    It is the last hook: whatever its step records is recorded before, so that a run that goes on from there lacks none.
    """

    def __init__(self, checkpoints, saver, step, is_due, steps_per_epoch):
        """Takes the Checkpoints, a Saver, the tensor of the step, which are due, and the length of an epoch."""
        self._checkpoints = checkpoints
        self._saver = saver
        self._step = step
        self._is_due = is_due
        self._steps_per_epoch = steps_per_epoch

    def after_create_session(self, session, coord):
        if self._checkpoints.latest is None:
            self._save(session, 0)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._step)

    def after_run(self, run_context, run_values):
        step = int(run_values.results)
        if self._is_due(step) or run_context.stop_requested:
            self._save(run_context.session, step)

    def _save(self, session, step):
        self._checkpoints.save(session, self._saver, step, self._steps_per_epoch)


def epoch_of(step, steps_per_epoch):
    """Returns the number, from 1, of the epoch that the given step, counted from 1, belongs to."""
    return max(1, -(-step // steps_per_epoch))
