"""Finds images in .parquet files, as the Hugging Face hub serves data sets: a row is an image."""

import collections
import functools
import importlib.util
import itertools
import os
import posixpath

from data.listing import MAX_BYTES
from dcgan.errors import UserError

MAX_ROWS = 1_000_000  # of a file, which may claim any number
COLUMNS = ('image', 'img', 'jpg', 'jpeg', 'png', 'webp')  # usual names of the column with images


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
    stamps, skipped, groups = {}, collections.defaultdict(list), []
    for name in sorted(names, key=lambda name: f'{name}/'):  # as the names of the rows are sorted
        try:
            rows, counts, others = _list_rows(path / name)
        except UserError as error:
            skipped[str(error)].append(name or path.name)
            continue
        if others:
            skipped['other columns that may hold images'] += [posixpath.join(name, other) for other in others]
        stamps |= {posixpath.join(name, row): stamp for row, stamp in rows}
        groups += [(path / name, group, count) for group, count in enumerate(counts)]
    return stamps, dict(skipped), functools.partial(_read_in_order, groups)


def _list_rows(path):
    """Lists the rows of a .parquet file.

    Returns:
      [(name, stamp)] of the rows; how many rows each row group has; the names of other columns that may hold images.

    Raises:
      UserError: it is damaged, or has no column of images.
    """
    try:
        modified = os.stat(path).st_mtime_ns
        file, column, label_column, others = _open(path)
        groups = [file.metadata.row_group(group) for group in range(file.num_row_groups)]
        if sum(group.num_rows for group in groups) > MAX_ROWS:
            raise UserError(f'.parquet file of more than {MAX_ROWS:,} rows')
        stamps = [(_mean_size(group, column), modified) for group in groups for _ in range(group.num_rows)]
        labels = [''] * len(stamps)
        if label_column:
            labels = map(_clean, file.read([label_column]).flatten().column(0).to_pylist())
        rows = [(f'{row:09d}/{label}'.rstrip('/'), stamp)
                for row, (stamp, label) in enumerate(zip(stamps, labels, strict=True))]
    except UserError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise UserError('unreadable .parquet file') from error
    return rows, [group.num_rows for group in groups], others


def _open(path):
    """Opens a .parquet file.

    Returns:
      A ParquetFile; the paths of the columns with the bytes and with the names of the images, the second None if there
      is none; the names of other columns that may hold images.

    Raises:
      UserError: it has no column of images.
    """
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(path, buffer_size=1 << 16, pre_buffer=False)
    columns = {column.path: column for column in map(file.schema.column, range(len(file.schema)))}
    found = {path.removesuffix('.bytes'): path for path, column in columns.items()
             if column.physical_type == 'BYTE_ARRAY' and column.logical_type.type == 'NONE'}
    found = {name: path for name, path in found.items() if '.' not in name}
    if not found:
        raise UserError('without a column of images')
    name = next((name for name in COLUMNS if name in found), next(iter(found)))
    label_column = f'{name}.path'
    return file, found.pop(name), label_column if label_column in columns else None, list(found)


def _mean_size(group, column):
    chunks = map(group.column, range(group.num_columns))
    root = column.split('.')[0]
    size = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split('.')[0] == root)
    return max(1, size // max(1, group.num_rows))


def _clean(label):
    label = posixpath.basename(label.replace('\\', '/'))[-100:].strip() if isinstance(label, str) else ''
    return '' if label in ('.', '..') else label


def _read_in_order(groups, names):
    """Yields (name, content) of each row of some row groups, as ``list_images``'s function does.

    Args:
      groups: list of (path, number of the row group in the file, number of its rows).
      names: the names of all rows.
    """
    names = iter(names)
    for path, group, count in groups:
        yield from zip(itertools.islice(names, count), _read_group(path, group, count), strict=True)


def _read_group(path, group, count):
    error = UserError('the row is missing')
    try:
        file, column, *_ = _open(path)
        # Row by row: the images of a row group may be gigabytes. It takes 9 microseconds more for each.
        for batch in file.iter_batches(1, [group], [column], use_threads=False):
            content = batch.column(0)[0].as_py()
            if isinstance(content, dict):
                content = content['bytes']
            if content is None:
                content = UserError('the row holds no bytes')
            elif len(content) > MAX_BYTES:
                content = UserError(f'the image has more than {MAX_BYTES:,} bytes, the limit')
            yield content
            count -= 1
    except Exception as reason:  # a damaged file can raise anything
        error = UserError(f'cannot read the row: {type(reason).__name__}')
    yield from itertools.repeat(error, count)
