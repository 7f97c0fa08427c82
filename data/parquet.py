"""Finds images in .parquet files, as the Hugging Face hub serves data sets: a row is an image."""

import collections
import functools
import importlib.util
import itertools
import os
import posixpath
from pathlib import Path

from data.folders import MAX_BYTES
from dcgan.errors import UserError

COLUMNS = ('image', 'img', 'jpg', 'jpeg', 'png', 'webp')  # usual names of the column with images

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
    files, skipped, groups = {}, collections.defaultdict(list), []
    for name in sorted(names, key=lambda name: f'{name}/'):  # as the names of the rows are sorted
        try:
            stamps, labels, rows = _describe(Path(path, name))
        except UserError as error:
            skipped[str(error)].append(name or path.name)
            continue
        for row, (stamp, label) in enumerate(zip(stamps, labels, strict=True)):
            files['/'.join(filter(None, (name, f'{row:09d}', label)))] = stamp
        groups += [(Path(path, name), group, count) for group, count in enumerate(rows)]
    return files, dict(skipped), functools.partial(_read_in_order, groups)


def _read_in_order(groups, names):
    """Yields (name, content) of each row of some row groups, as ``open_folder``'s function does.

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
        file, column, _ = _open(path)
        # Row by row: the images of a row group may be gigabytes. It takes 9 microseconds more for each.
        for batch in file.iter_batches(1, [group], [column], use_threads=False):
            values = batch.column(0).field('bytes') if column.endswith('.bytes') else batch.column(0)
            content = values[0].as_py()
            if content is None:
                content = UserError('the row holds no bytes')
            elif len(content) > MAX_BYTES:
                content = UserError(f'the image has more than {MAX_BYTES:,} bytes, the limit')
            yield content
            count -= 1
    except Exception as reason:  # a damaged file can raise anything
        error = UserError(f'cannot read the row: {type(reason).__name__}')
    yield from itertools.repeat(error, count)


def _open(path):
    """Opens a .parquet file.

    Returns:
      A ParquetFile; the paths of the columns with the bytes and with the names of the images, the second None if there
      is none.

    Raises:
      UserError: it has no column of images.
    """
    from pyarrow import types
    from pyarrow.parquet import ParquetFile

    def is_binary(kind):
        return kind is not None and (types.is_binary(kind) or types.is_large_binary(kind))

    file = ParquetFile(path, buffer_size=1 << 16, pre_buffer=False)
    found = {}
    for field in file.schema_arrow:
        kinds = {child.name: child.type for child in field.type} if types.is_struct(field.type) else {}
        text = kinds.get('path')
        if is_binary(kinds.get('bytes')):
            is_text = text is not None and (types.is_string(text) or types.is_large_string(text))
            found[field.name] = f'{field.name}.bytes', f'{field.name}.path' if is_text else None
        elif is_binary(field.type):
            found[field.name] = field.name, None
    named = [name for name in COLUMNS if name in found] or list(found)
    if not named:
        raise UserError(NO_COLUMN)
    return file, *found[named[0]]


def _describe(path):
    """Returns the stamps and the labels ('' if there is none) of the rows of a .parquet file, and how many rows each
    group has.

    Raises:
      UserError: it is damaged, or has no column of images.
    """
    try:
        modified = os.stat(path).st_mtime_ns
        file, column, label_column = _open(path)
        groups = [file.metadata.row_group(group) for group in range(file.num_row_groups)]
        rows = [group.num_rows for group in groups]
        labels = [''] * sum(rows)
        if label_column:
            labels = file.read(columns=[label_column]).column(0).combine_chunks().field(0).to_pylist()
    except UserError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise UserError('unreadable .parquet file') from error
    stamps = [(_mean_size(group, column), modified) for group in groups for _ in range(group.num_rows)]
    return stamps, list(map(_clean, labels)), rows


def _mean_size(group, column):
    chunks = map(group.column, range(group.num_columns))
    root = column.split('.')[0]
    size = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split('.')[0] == root)
    return max(1, size // max(1, group.num_rows))


def _clean(label):
    label = posixpath.basename((label or '').replace('\\', '/'))[-100:].strip()
    return '' if label in ('.', '..') else label
