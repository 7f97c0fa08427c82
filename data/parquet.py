"""Finds images in .parquet files, as the Hugging Face hub serves data sets: a row is an image."""

import collections
import importlib.util
import os
import posixpath
import threading
from pathlib import Path

from data.folders import MAX_BYTES
from dcgan.errors import UserError

COLUMNS = ('image', 'img', 'jpg', 'jpeg', 'png', 'webp')  # usual names of the column with images
# Of a file: threads ask for the rows not quite in order, at most ``decoders.ENCODED_MEMORY`` of them at once.
CACHED_ROWS, CACHED_BYTES = 1 << 16, 96 << 20
OPEN_FILES = 2

NO_COLUMN = 'without a column of images'


def open_parquet(path, names):
    """Finds the images in some .parquet files; same results as ``open_folder``, with a name for each row.

    The column with images holds the bytes of an image file, or {bytes, path}. A size in the stamps is the mean of its
    row group: only the file's description is read.

    Args:
      path: the folder of the files, a Path, or the only file itself.
      names: the paths of the files within the folder; [''] for the only file.

    Raises:
      UserError: PyArrow is not installed.
    """
    if importlib.util.find_spec('pyarrow') is None:
        raise UserError(f"{path} holds .parquet files and needs PyArrow, which is not installed; pip install "
                        "'.[parquet]'")
    files, skipped, rows = {}, collections.defaultdict(list), {}
    for name in names:
        try:
            shard = _Shard(Path(path, name))
            for row, label, stamp in shard.rows():
                image = '/'.join(filter(None, (name, f'{row:09d}', label)))
                files[image], rows[image] = stamp, (name, row)
        except UserError as error:
            skipped[str(error)].append(name or Path(path).name)
    shards = _Shards(path)
    return files, dict(skipped), lambda name: shards.read(*rows[name])


class _Shards:
    """The files that were read last, open."""

    def __init__(self, folder):
        self._folder, self._lock = folder, threading.Lock()
        self._open = collections.OrderedDict()

    def read(self, name, row):
        with self._lock:
            if name not in self._open:
                self._open[name] = _Shard(Path(self._folder, name))
                while len(self._open) > OPEN_FILES:
                    self._open.popitem(last=False)
            self._open.move_to_end(name)
            return self._open[name].read(row)


class _Shard:
    """A .parquet file, read from row to row in bounded memory."""

    def __init__(self, path):
        from pyarrow.parquet import ParquetFile

        try:
            self._file = ParquetFile(path, buffer_size=1 << 16, pre_buffer=False)
        except Exception as error:  # a damaged file can raise anything
            raise UserError('unreadable .parquet file') from error
        self._path = path
        self._bytes, self._label = self._columns()
        self._starts = [0]  # of the row groups, and the end
        for group in range(self._file.num_row_groups):
            self._starts.append(self._starts[-1] + self._file.metadata.row_group(group).num_rows)
        self._cached, self._cached_bytes, self._next = collections.OrderedDict(), 0, None  # {row: image}; row to come

    def _columns(self):
        """Returns the paths of the columns with the bytes and with the names of the images; the second may be None."""
        import pyarrow

        schema = self._file.schema_arrow
        found = {}
        for field in schema:
            kinds = {child.name: child.type for child in field.type} if pyarrow.types.is_struct(field.type) else {}
            if _is_binary(kinds.get('bytes')):
                found[field.name] = f'{field.name}.bytes', f'{field.name}.path' if _is_text(kinds.get('path')) else None
            elif _is_binary(field.type):
                found[field.name] = field.name, None
        named = [name for name in COLUMNS if name in found] or list(found)
        if not named:
            raise UserError(NO_COLUMN)
        return found[named[0]]

    def rows(self):
        """Yields for each row its number, the name of its image ('' if there is none) and its stamp."""
        try:
            modified, labels = os.stat(self._path).st_mtime_ns, None
            if self._label:
                labels = self._file.read(columns=[self._label]).column(0).combine_chunks().field(0).to_pylist()
        except Exception as error:  # as above
            raise UserError('unreadable .parquet file') from error
        for group in range(self._file.num_row_groups):
            size = self._mean_size(group)
            for row in range(self._starts[group], self._starts[group + 1]):
                label = posixpath.basename(((labels and labels[row]) or '').replace('\\', '/'))[-100:].strip()
                yield row, '' if label in ('.', '..') else label, (size, modified)

    def _mean_size(self, group):
        description = self._file.metadata.row_group(group)
        size = sum(description.column(index).total_uncompressed_size for index in range(description.num_columns)
                   if description.column(index).path_in_schema.split('.')[0] == self._bytes.split('.')[0])
        return max(1, size // max(1, description.num_rows))

    def read(self, row):
        """Returns the bytes of a row's image."""
        if row not in self._cached:
            try:
                if self._next is None or not self._next <= row < self._end:
                    self._seek(row)
                while self._next <= row:
                    self._read_next()
            except Exception as error:  # a damaged file can raise anything
                self._next = None
                raise UserError(f'cannot read the row: {type(error).__name__}') from error
        content = self._cached[row]
        if content is None:
            raise UserError('the row holds no bytes')
        if len(content) > MAX_BYTES:
            raise UserError(f'the image has more than {MAX_BYTES:,} bytes, the limit')
        return content

    def _seek(self, row):
        """Begins to read at the row group that has a row."""
        group = next(group for group, start in enumerate(self._starts[1:]) if row < start)
        # Row by row: the images of a row group may be gigabytes. It takes 9 microseconds more for each.
        self._iterator = self._file.iter_batches(1, [group], [self._bytes], use_threads=False)
        self._next, self._end = self._starts[group], self._starts[group + 1]

    def _read_next(self):
        column = next(self._iterator).column(0)
        image = (column.field('bytes') if self._bytes.endswith('.bytes') else column)[0].as_py()
        self._cached_bytes += len(image or b'') - len(self._cached.pop(self._next, None) or b'')
        self._cached[self._next] = image
        self._next += 1
        while len(self._cached) > 1 and (len(self._cached) > CACHED_ROWS or self._cached_bytes > CACHED_BYTES):
            _, oldest = self._cached.popitem(last=False)
            self._cached_bytes -= len(oldest or b'')


def _is_binary(kind):
    import pyarrow

    return kind is not None and (pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _is_text(kind):
    import pyarrow

    return kind is not None and (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))
