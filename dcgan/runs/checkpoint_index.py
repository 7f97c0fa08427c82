"""Checks the index of a checkpoint before TensorFlow reads it: some forged ones make TensorFlow end the process.

The index is a table of LevelDB (its doc/table_format.md) whose values are tensorflow.BundleEntryProto.
"""

import math

import tensorflow.compat.v1 as tf

MAGIC = bytes.fromhex('57fb808b247547db')
FOOTER = 48  # bytes
MAX_BYTES, MAX_ENTRIES = 1 << 23, 100_000  # at full size, the article's has 4 kB and 90 entries
MAX_RANK, MAX_VALUES, MAX_SLICE = 16, 1 << 62, 1 << 31  # of values in a shape and in a slice of it
# The fields of each message, and the wire type of each or the message that it is.
NUMBER, MESSAGE, FIXED32 = 0, 2, 5
DTYPE, SHAPE, SLICE = 1, 2, 7
ENTRY = {DTYPE: NUMBER, SHAPE: {2: {1: NUMBER}}, 3: NUMBER, 4: NUMBER, 5: NUMBER, 6: FIXED32,
         SLICE: {1: {1: NUMBER, 2: NUMBER}}}


def check_index(path):
    """Checks that entries are as TensorFlow writes them, with shapes that it can read.

    Args:
      path: a Path, of the .index file.

    Raises:
      ValueError: they are not.
    """
    with path.open('rb') as file:
        content = file.read(MAX_BYTES + 1)
    try:
        if len(content) > MAX_BYTES or content[-len(MAGIC):] != MAGIC:
            raise ValueError
        for number, (key, entry) in enumerate(_table(content)):
            if number == MAX_ENTRIES:
                raise ValueError
            if number or key:  # the first is a header
                _check_entry(entry)
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f'{path.name} is damaged') from error


def _table(content):
    """Yields the keys and values of a table."""
    footer = content[-FOOTER:]
    _, at = _numbers(footer, 0, 2)
    index, _ = _numbers(footer, at, 2)
    for _, handle in _block(content, *index):
        yield from _block(content, *_numbers(handle, 0, 2)[0])


def _block(content, offset, size):
    block = content[offset:offset + size]
    end = size - 4 - 4 * int.from_bytes(block[-4:], 'little')
    if len(block) < size or end < 0 or content[offset + size]:  # cut, or compressed
        raise ValueError
    restarts = {int.from_bytes(block[at:at + 4], 'little') for at in range(end, size - 4, 4)}
    key, at = b'', 0
    while at < end:
        start = at
        (shared, added, length), at = _numbers(block, at, 3)
        if not shared:
            restarts.discard(start)
        key, at = key[:shared] + block[at:at + added], at + added + length
        if at > end:
            raise ValueError
        yield key, block[at - length:at]
    if restarts - {0}:  # TensorFlow may begin to read there
        raise ValueError


def _check_entry(entry):
    dtype, shape = 0, []
    for field, value in _parse(entry, ENTRY):
        if field == DTYPE:
            dtype = value
        elif field == SHAPE:
            shape += value
        elif field == SLICE:
            _check_sizes(value, MAX_SLICE)
    _check_sizes(shape, MAX_VALUES)
    tf.dtypes.as_dtype(dtype)


def _check_sizes(dimensions, limit):
    """Checks dimensions, or the starts and lengths of a slice in each."""
    sizes = [max((number for _, number in fields), default=0) for _, fields in dimensions]
    if len(sizes) > MAX_RANK or math.prod(max(1, size) for size in sizes) > limit:
        raise ValueError


def _parse(message, fields):
    """Returns the fields of a message of Protocol Buffers as pairs of number and value, a message as such a list."""
    found, at = [], 0
    while at < len(message):
        (tag,), at = _numbers(message, at, 1)
        kind = fields[tag >> 3]
        if tag & 7 != (MESSAGE if isinstance(kind, dict) else kind):
            raise ValueError
        if kind == FIXED32:
            value, at = None, at + 4
        else:
            (value,), at = _numbers(message, at, 1)
        if isinstance(kind, dict):
            value, at = _parse(message[at:at + value], kind), at + value
        if at > len(message):
            raise ValueError
        found.append((tag >> 3, value))
    return found


def _numbers(content, at, count):
    """Returns numbers of variable length, seven bits a byte, and the place after them."""
    numbers = []
    for _ in range(count):
        number = shift = 0
        while True:
            byte = content[at]
            number |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                break
            if shift > 63:
                raise ValueError
        numbers.append(number)
    return numbers, at
