"""What a run records of its steps, in ``log.jsonl`` and as TensorBoard events: each once, with no gap."""

import json
import platform
import time

import tensorflow.compat.v1 as tf

from runtime.errors import reason_of
from runtime.run_directory import cannot_be_written


class Journal:
    """The records of a run. What is recorded is in the files at once: a killed run has all up to its checkpoint.

    Attributes:
      entries: the lines of ``log.jsonl`` that were there, as dicts, oldest first.
    """

    def __init__(self, directory, step, graph):
        """Forgets what a former start recorded after its checkpoint, and goes on from there.

        Args:
          directory: a RunDirectory.
          step: that of the checkpoint. At 0 all is forgotten: the run begins anew.
          graph: the tf.Graph, for TensorBoard.

        Raises:
          RunError: the files cannot be written.
        """
        self._log = directory.path / 'log.jsonl'
        self._events = directory.path / f'events.out.tfevents.{time.time():.6f}.{platform.node()}'
        try:
            self.entries = self._forget_lines(directory, step)
            for path in sorted(directory.path.glob('events.out.tfevents.*')):
                _forget_events(path, step)
            self._writer = tf.io.TFRecordWriter(str(self._events))
            self._write(tf.Event(file_version='brain.Event:2'))
            if step == 0:
                self._write(tf.Event(graph_def=graph.as_graph_def(add_shapes=True).SerializeToString()))
            else:  # a TensorBoard that is looking on forgets, too
                self._write(tf.Event(step=step + 1, session_log=tf.SessionLog(status=tf.SessionLog.START)))
        except (OSError, tf.errors.OpError) as error:
            raise cannot_be_written(self._events, error) from error

    def scalars(self, entry):
        """Records a line of ``log.jsonl``: {'step', ...}; its numbers are also scalars for TensorBoard.

        Raises:
          RunError: it cannot be written.
        """
        try:
            with self._log.open('a') as file:
                file.write(json.dumps(entry) + '\n')
        except OSError as error:
            raise cannot_be_written(self._log, error) from error
        self._summary(entry['step'], [tf.Summary.Value(tag=name, simple_value=value) for name, value in entry.items()
                                      if name not in ('step', 'epoch')])

    def image(self, step, tag, png):
        """Records a PNG, as bytes, for TensorBoard.

        Raises:
          RunError: it cannot be written.
        """
        self._summary(step, [tf.Summary.Value(tag=tag, image=tf.Summary.Image(encoded_image_string=png))])

    def _summary(self, step, values):
        try:
            self._write(tf.Event(step=step, summary=tf.Summary(value=values)))
        except tf.errors.OpError as error:
            raise cannot_be_written(self._events, error) from error

    def _write(self, event):
        # A tf.summary.FileWriter writes later, in a thread, which a full disk ends with a traceback.
        event.wall_time = time.time()
        self._writer.write(event.SerializeToString())
        self._writer.flush()

    def _forget_lines(self, directory, step):
        if not self._log.exists():
            return []
        lines = self._log.read_text(errors='replace').splitlines(keepends=True)
        read = [_entry(line) for line in lines]
        kept = [(line, entry) for line, entry in zip(lines, read, strict=True)
                if step and entry and entry['step'] <= step]
        broken = sum(entry is None for entry in read[:-1])  # the last one may have been cut off by a kill
        if broken:
            print(f'warning     {broken} lines of {self._log} cannot be read, and are dropped')
        if len(kept) < len(lines):
            directory.write(self._log.name, ''.join(line for line, _ in kept).encode())
        return [entry for _, entry in kept]


def read_log(path):
    """Returns the whole lines of a ``log.jsonl``, a Path, as dicts, oldest first; none where there is no such file."""
    lines = path.read_text(errors='replace').splitlines(keepends=True) if path.exists() else []
    return [entry for entry in map(_entry, lines) if entry]


def _entry(line):
    """Returns a whole line of ``log.jsonl`` as a dict, None where it is none."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    is_whole = (line.endswith('\n') and isinstance(entry, dict) and {'step', 'spread', 'd_loss'} <= entry.keys()
                and all(isinstance(value, int | float) for value in entry.values()))
    return entry if is_whole else None


def _forget_events(path, step):
    """Drops the events after a step (all, if it is 0) and a part that was cut off; the file, if nothing is left."""
    part = path.with_name(f'{path.name}.part')
    kept = size = 0
    try:
        with tf.io.TFRecordWriter(str(part)) as writer:
            for event in _events_of(path):
                if step and event.step <= step:
                    record = event.SerializeToString()
                    writer.write(record)
                    size += len(record) + 16  # the frame of a record
                    kept += not event.file_version
        if not kept:
            path.unlink()
        elif size < path.stat().st_size:
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _events_of(path):
    try:
        yield from tf.train.summary_iterator(str(path))
    except tf.errors.DataLossError as error:
        if 'truncated' not in error.message:  # as a kill leaves it
            print(f'warning     {path} is damaged: {reason_of(error)}; the events after that are lost')
