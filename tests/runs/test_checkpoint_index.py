"""Forged indexes of checkpoints, with right checksums, get one sentence: TensorFlow would end the process."""

import struct

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dcgan.errors import UserError
from dcgan.runs.checkpoint_index import MAX_ENTRIES, MAX_RANK, check_index
from dcgan.sampling.checkpoint import read

FLOAT, MAGIC = b'\x08\x01', 0xdb4775248b80fb57


def number(value):
    """Returns an integer as LevelDB and Protocol Buffers write it."""
    value %= 1 << 64
    written = b''
    while value > 127:
        written += bytes([value & 127 | 128])
        value >>= 7
    return written + bytes([value])


def message(field, content):
    return number(field << 3 | 2) + number(len(content)) + content


def shape(*sizes):
    return message(2, b''.join(message(2, b'\x08' + number(size)) for size in sizes))


def part(*extents):
    """Returns a slice, of starts and lengths."""
    return message(7, b''.join(message(1, b'\x08' + number(start) + b'\x10' + number(length))
                               for start, length in extents))


def block(entries, restart=0):
    return b''.join(b'\0' + number(len(key)) + number(len(value)) + key + value for key, value in entries
                    ) + struct.pack('<II', restart, 1)


def table(entries, restart=0):
    """Returns a table of {key: value}."""
    content = b''

    def add(block):
        nonlocal content
        handle = number(len(content)) + number(len(block))
        content += block + b'\0' + struct.pack('<I', checksum(block + b'\0'))
        return handle

    values, nothing = add(block(entries.items(), restart)), add(block([]))
    index = add(block([(b'\xff', values)]))
    return content + (nothing + index).ljust(40, b'\0') + struct.pack('<Q', MAGIC)


def checksum(content):
    """Returns the masked CRC-32C of LevelDB."""
    remainder = 0xffffffff
    for byte in content:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82f63b78 if remainder & 1 else 0)
    remainder ^= 0xffffffff
    return (remainder >> 15 | remainder << 17) + 0xa282ead8 & 0xffffffff


def write(path, entry, **options):
    path.with_name(f'{path.name}.index').write_bytes(table({b'': b'\x08\x01', b'x': entry}, **options))
    path.with_name(f'{path.name}.data-00000-of-00001').write_bytes(bytes(100))
    return path


def test_tensorflow_reads_the_tables_of_these_tests(tmp_path):
    path = write(tmp_path / 'x', FLOAT + shape(5, 4) + part((0, 5), (0, 4)))
    check_index(tmp_path / 'x.index')
    assert tf.train.load_checkpoint(str(path)).get_variable_to_shape_map() == {'x': [5, 4]}


@pytest.mark.parametrize('entry', [
    b'', b'\xff', b'\x08', b'\x08' + 11 * b'\xff', number(99 << 3) + b'\1', FLOAT + b'\x30\0', FLOAT + b'\x12\x7f',
    b'\x08\x63', b'\x08' + number(-1), FLOAT + shape(-1), FLOAT + shape(1 << 62, 4), FLOAT + shape(*300 * [1]),
    FLOAT + shape(1 << 32) + shape(1 << 32), FLOAT + (MAX_RANK + 1) * shape(1),
    FLOAT + message(2, message(2, b'\x12\x01\xff')), FLOAT + message(2, b'\x18\x01'), FLOAT + message(2, b'\x10\x01'),
    FLOAT + shape(4) + part((0, -5)), FLOAT + shape(4) + part((1 << 62, 1 << 62)), FLOAT + shape(4) + part((-1, 1))])
def test_an_entry_that_tensorflow_would_not_write_is_refused(tmp_path, entry):
    with pytest.raises(UserError, match=r'cannot read .*/x: x\.index is damaged'):
        read(write(tmp_path / 'x', entry))


def test_a_table_that_can_be_read_in_two_ways_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'x\.index is damaged'):
        read(write(tmp_path / 'x', FLOAT + shape(1), restart=7))


def test_an_index_of_too_many_entries_is_refused(tmp_path):
    entries = [(b'%07d' % place, FLOAT) for place in range(MAX_ENTRIES + 1)]
    (tmp_path / 'x.index').write_bytes(table(dict(entries)))
    with pytest.raises(ValueError, match='is damaged'):
        check_index(tmp_path / 'x.index')


def test_damage_anywhere_in_an_index_is_refused_or_does_not_matter(tmp_path):
    whole = bytearray(write(tmp_path / 'x', FLOAT + shape(5, 4)).with_name('x.index').read_bytes())
    random = np.random.RandomState(0)
    for place in range(len(whole)):
        for value in 0, 127, 255, random.randint(256):
            spoiled = bytearray(whole)
            spoiled[place] = value
            (tmp_path / 'x.index').write_bytes(spoiled)
            try:
                check_index(tmp_path / 'x.index')
            except ValueError as error:
                assert str(error) == 'x.index is damaged'  # noqa: PT017 - either outcome is right
