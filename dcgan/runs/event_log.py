"""What a run logs, in ``log.jsonl`` and as TensorBoard events: every step once, without a gap."""

import json
import math
import platform
import time

import tensorflow.compat.v1 as tf

FIELDS = {'step', 'epoch', 'g_loss', 'd_loss', 'spread', 'images_per_second'}  # that each line has


class EventLog:
    """The log of a run. Every entry is in the files at once: a killed run has all up to its checkpoint.

    Attributes:
      entries: the lines that ``log.jsonl`` held at the start, as dicts, oldest first.
    """

    def __init__(self, directory, step, graph):
        """Drops what was logged after the checkpoint, and continues from there.

        Args:
          directory: a RunDirectory.
          step: that of the checkpoint; at 0 everything is dropped.
          graph: the tf.Graph, for TensorBoard.

        Raises:
          UserError: the files cannot be written.
        """
        self._log = directory.path / 'log.jsonl'
        self._events = directory.path / f'events.out.tfevents.{time.time():.6f}.{platform.node()}'
        self._writing, self._pending = directory.writing, []
        with self._writing(self._events, tf.errors.OpError):
            self.entries = [entry for entry in read_log(self._log) if entry['step'] <= step]
            directory.write(self._log.name, ''.join(json.dumps(entry) + '\n' for entry in self.entries).encode())
            if step == 0:
                for path in directory.path.glob('events.out.tfevents.*'):
                    path.unlink()
            self._writer = tf.io.TFRecordWriter(str(self._events))
            self._write(tf.Event(file_version='brain.Event:2'))
            if step == 0:
                self._write(tf.Event(graph_def=graph.as_graph_def(add_shapes=True).SerializeToString()))
            else:  # TensorBoard drops all events from that step on in the files before
                self._write(tf.Event(step=step + 1, session_log=tf.SessionLog(status=tf.SessionLog.START)))

    def scalars(self, entry):
        """Logs an entry {'step', ...} as a line of ``log.jsonl`` and its numbers as scalars for TensorBoard.

        Raises:
          UserError: it cannot be written.
        """
        self._pending.append(json.dumps(entry) + '\n')
        self.flush()
        self._summary(entry['step'], [tf.Summary.Value(tag=name, simple_value=value) for name, value in entry.items()
                                      if name not in ('step', 'epoch')])

    def flush(self):
        """Writes the lines of ``log.jsonl`` that could not be written when they were logged.

        Raises:
          UserError: they still cannot.
        """
        with self._writing(self._log), self._log.open('a') as file:
            file.write(''.join(self._pending))
        self._pending = []

    def image(self, step, tag, png):
        """Logs a PNG, as bytes, for TensorBoard.

        Raises:
          UserError: it cannot be written.
        """
        self._summary(step, [tf.Summary.Value(tag=tag, image=tf.Summary.Image(encoded_image_string=png))])

    def _summary(self, step, values):
        with self._writing(self._events, tf.errors.OpError):
            self._write(tf.Event(step=step, summary=tf.Summary(value=values)))

    def _write(self, event):
        # Not a tf.summary.FileWriter: it writes later, in a thread, which a full disk ends with a traceback.
        event.wall_time = time.time()
        self._writer.write(event.SerializeToString())
        self._writer.flush()


def read_log(path):
    """Returns the intact lines of a ``log.jsonl``, a Path, as dicts, oldest first; [] if there is no such file."""
    lines = path.read_text(errors='replace').splitlines(keepends=True) if path.exists() else []
    entries = [_entry(line) for line in lines]
    if None in entries[:-1]:  # the last line may have been cut off by a kill
        print(f'warning     lines of {path} are damaged; leaving them out')
    return [entry for entry in entries if entry]


def best_of(entries):
    """Returns the lowest sliced Wasserstein distance among entries of the log, and its step; infinity and None if none.
    """
    measured = [(value, entry['step']) for entry in entries for name, value in entry.items() if name.startswith('swd')]
    return min(measured, default=(math.inf, None))


def _entry(line):
    """Returns a line of ``log.jsonl`` as a dict; None if it is damaged."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_intact = (line.endswith('\n') and isinstance(entry, dict) and entry.keys() >= FIELDS
                 and all(type(value) in (int, float) and abs(value) < 1e300 for value in entry.values())
                 and type(entry['step']) is int and 0 < entry['step'] < 1e15)
    return entry if is_intact else None
