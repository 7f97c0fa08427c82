"""Finds images in a .parquet file, as the Hugging Face hub serves data sets: a row is an image."""

import functools
import importlib.util
import itertools
import os
import posixpath

from data.listing import MAX_BYTES, patiently
from dcgan.errors import UserError

MAX_ROWS = 1_000_000  # of a file, which may claim any number
OTHER_COLUMN = 'another column that may hold images'
COLUMNS = ('image', 'img', 'jpg', 'jpeg', 'png', 'webp')  # usual names of the column with images


def open_parquet(path, image_column=None):
    """Finds the images in a .parquet file; same results as ``open_folder``, with a name for each row.

    The column with images holds the bytes of an image file, or {bytes, path}.

    Args:
      path: a Path.
      image_column: name of the column; None is one with a usual name, or the only one.

    Raises:
      UserError: PyArrow is not installed; there is no such column, it is not clear which, or there are too many rows.
      Exception: it is damaged or cannot be read.
    """
    if importlib.util.find_spec('pyarrow') is None:
        raise UserError("needs PyArrow, which is not installed; pip install '.[parquet]'")
    status = os.stat(path)
    file, columns = _open(path)
    if not columns:
        return {}, {'without a column of images': [path.name]}, iter
    column = _choose(columns, image_column)
    counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    if sum(counts) > MAX_ROWS:
        raise UserError(f'has more than {MAX_ROWS:,} rows; split it')
    labels = [''] * sum(counts)
    label_column = f'{column}.path'
    if any(file.schema.column(index).path == label_column for index in range(len(file.schema))):
        labels = map(_clean, file.read([label_column]).flatten().column(0).to_pylist())
    stamp = status.st_size, status.st_mtime_ns, columns[column]
    rows = {f'{row:09d}/{label}'.rstrip('/'): stamp for row, label in enumerate(labels)}
    others = [name for name in columns if name != column]
    return rows, {OTHER_COLUMN: others} if others else {}, functools.partial(
        _read_in_order, path, columns[column], counts)


def _open(path):
    """Opens a .parquet file; returns a ParquetFile, and {name: path} of the columns that may hold images."""
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(path, buffer_size=1 << 16, pre_buffer=False)
    paths = [column.path for column in map(file.schema.column, range(len(file.schema)))
             if column.physical_type == 'BYTE_ARRAY' and column.logical_type.type == 'NONE']
    columns = {path.removesuffix('.bytes'): path for path in paths}
    return file, {name: path for name, path in columns.items() if '.' not in name}


def _choose(columns, image_column):
    """Returns the name of the column with images."""
    if image_column is not None:
        if image_column not in columns:
            raise UserError(f'has no column {image_column!r} of images, but {", ".join(columns)}')
        return image_column
    usual = [name for name in COLUMNS if name in columns]
    if not usual and len(columns) != 1:
        raise UserError(f'has several columns that may hold images, {", ".join(columns)}; name one with train.py '
                        '--image_column')
    return (usual or list(columns))[0]


def _clean(label):
    label = posixpath.basename(label.replace('\\', '/'))[-100:].strip() if isinstance(label, str) else ''
    return '' if label in ('.', '..') else label


def _read_in_order(path, column, counts, names):
    """Yields (name, content) of each row of a file, as ``list_images``'s function does.

    Args:
      path: of the file.
      column: path of the column.
      counts: the number of rows of each row group.
      names: of all rows.
    """
    names = iter(names)
    for group, count in enumerate(counts):
        yield from zip(itertools.islice(names, count), _read_group(path, group, count, column), strict=True)


def _read_group(path, group, count, column):
    batches, done = None, 0

    def next_row():
        nonlocal batches
        rows, batches = batches, None  # after a failure, the file is opened again
        if rows is None:
            rows = itertools.islice(_open(path)[0].iter_batches(1, [group], [column], use_threads=False), done, None)
        row, batches = next(rows), rows
        return row

    error = UserError('the row is missing')
    try:
        while done < count:
            # Row by row: the images of a row group may be gigabytes. It takes 9 microseconds more for each.
            content = patiently(path, next_row).column(0)[0].as_py()
            if isinstance(content, dict):
                content = content['bytes']
            if content is None:
                content = UserError('the row holds no bytes')
            elif len(content) > MAX_BYTES:
                content = UserError(f'the image has more than {MAX_BYTES:,} bytes, the limit')
            done += 1
            yield content
    except StopIteration:
        pass
    except UserError:
        raise
    except Exception as reason:  # a damaged file can raise anything
        error = UserError(f'cannot read the row: {type(reason).__name__}')
    yield from itertools.repeat(error, count - done)
