"""What happens beside training, one duty a hook.

A hook that needs the step fetches it in the same ``session.run`` as the train op, as the number of steps done.
"""

import json
import signal
import time

import tensorflow.compat.v1 as tf
from tqdm import tqdm


class ProgressHook(tf.train.SessionRunHook):
    """A progress bar: step, epoch, both losses, images a second, time left."""

    def __init__(self, measures, last_step, batch_size, steps_per_epoch):
        """Takes the tensors {'step', 'g_loss', 'd_loss'}, and the lengths of the run, of a step and of an epoch."""
        self._measures = measures
        self._last_step = last_step
        self._batch_size = batch_size
        self._steps_per_epoch = steps_per_epoch

    def after_create_session(self, session, coord):
        step = session.run(tf.train.get_global_step())
        self._bar = tqdm(total=self._last_step * self._batch_size, initial=step * self._batch_size, unit=' images',
                         dynamic_ncols=True, bar_format='{desc} {rate_fmt} {remaining} left |{bar}|')
        self._describe(step)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._measures)

    def after_run(self, run_context, run_values):
        measured = run_values.results
        self._describe(measured['step'], f' g_loss {measured["g_loss"]:.3f} d_loss {measured["d_loss"]:.3f}')
        self._bar.update(self._batch_size)

    def end(self, session):
        self._bar.close()

    def _describe(self, step, losses=''):
        epoch, epochs = (epoch_of(number, self._steps_per_epoch) for number in (step, self._last_step))
        self._bar.set_description_str(f'step {step}/{self._last_step} epoch {epoch}/{epochs}{losses}', refresh=False)


class LogHook(tf.train.SessionRunHook):
    """Every so many steps, a line of ``log.jsonl`` and the same scalars for TensorBoard."""

    def __init__(self, directory, measures, every_steps, batch_size, steps_per_epoch):
        """Takes a RunDirectory, the tensors {'step', 'g_loss', 'd_loss'}, and the lengths of a step and of an epoch."""
        self._directory = directory
        self._path = directory.path / 'log.jsonl'
        self._writer = tf.summary.FileWriterCache.get(str(directory.path))
        self._measures = measures
        self._every_steps = every_steps
        self._batch_size = batch_size
        self._steps_per_epoch = steps_per_epoch

    def after_create_session(self, session, coord):
        self._logged_step = session.run(tf.train.get_global_step())
        self._logged_time = time.perf_counter()
        self._forget_after(self._logged_step)
        # Tells TensorBoard to forget, too, what a former start logged after the checkpoint that this one goes on from.
        self._writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), self._logged_step + 1)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._measures)

    def after_run(self, run_context, run_values):
        step = int(run_values.results['step'])
        if step % self._every_steps:
            return
        now = time.perf_counter()
        rate = (step - self._logged_step) * self._batch_size / (now - self._logged_time)
        self._logged_step, self._logged_time = step, now
        scalars = {'g_loss': float(run_values.results['g_loss']), 'd_loss': float(run_values.results['d_loss']),
                   'images_per_second': rate}
        with self._path.open('a') as file:
            file.write(json.dumps({'step': step, 'epoch': epoch_of(step, self._steps_per_epoch), **scalars}) + '\n')
        values = [tf.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._writer.add_summary(tf.Summary(value=values), step)

    def end(self, session):
        self._writer.flush()

    def _forget_after(self, step):
        """Drops the lines of steps after this one, which will be logged again, and a line that was cut off."""
        if not self._path.exists():
            return
        lines = self._path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if line.endswith('\n') and json.loads(line)['step'] <= step]
        self._directory.write(self._path.name, ''.join(kept).encode())


class SampleHook(tf.train.SessionRunHook):
    """Draws a grid before the first step, at the end of every epoch, and every so many steps if asked."""

    def __init__(self, directory, grid, step, steps_per_epoch, every_steps=None):
        """Takes a RunDirectory, the PNG to draw as a string tensor, and the tensor of the step."""
        self._directory = directory
        self._writer = tf.summary.FileWriterCache.get(str(directory.path))
        self._grid = grid
        self._step = step
        self._steps_per_epoch = steps_per_epoch
        self._every_steps = every_steps

    def after_create_session(self, session, coord):
        step = int(session.run(tf.train.get_global_step()))
        if not (self._directory.path / self._name(step)).exists():
            self._draw_if_due(session, step)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._step)

    def after_run(self, run_context, run_values):
        self._draw_if_due(run_context.session, int(run_values.results))

    def _draw_if_due(self, session, step):
        if step % self._steps_per_epoch and (self._every_steps is None or step % self._every_steps):
            return
        png = session.run(self._grid)
        self._directory.write(self._name(step), png)
        image = tf.Summary.Image(encoded_image_string=png)
        self._writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag='samples', image=image)]), step)

    def _name(self, step):
        return f'samples/step-{step:07d}.png'


class StopHook(tf.train.SessionRunHook):
    """Lets Ctrl-C and SIGTERM end the run after the step at hand, so that it is saved.

    Python hears of a signal when the step is done; another one from then on, while saving, ends the run at once.

    Attributes:
      stopped: whether that has happened.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def begin(self):
        self.stopped = False
        self._former = {number: signal.signal(number, self._stop) for number in self.SIGNALS}

    def after_run(self, run_context, run_values):
        if self.stopped:
            run_context.request_stop()

    def end(self, session):
        self._restore()

    def _stop(self, number, frame):
        self.stopped = True
        self._restore()

    def _restore(self):
        for number, handler in self._former.items():
            signal.signal(number, handler)


def epoch_of(step, steps_per_epoch):
    """Returns the number, from 1, of the epoch that the given step, counted from 1, belongs to."""
    return max(1, -(-step // steps_per_epoch))
