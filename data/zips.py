"""Finds images in a .zip."""

import bz2
import copy
import functools
import lzma
import os
import posixpath
import stat
import struct
import zipfile
import zlib

from data.archives import find_images
from data.folders import MAX_BYTES
from dcgan.errors import UserError, reason_of

CHUNK = 1 << 16  # bytes to unpack at a time
UTF8_FLAG = 0x800

# What a file that is not a .zip may be, by its first bytes.
SIGNATURES = [
    (b'PK', 'is an incomplete or damaged .zip archive; download it again'),
    (b'<', 'is a web page (HTML), not a .zip archive; the site probably asked for a click or a sign-in: download it in '
           'a browser'),
    (b'Rar!', 'is a RAR archive; unpack it and use the folder'),
    (b'7z\xbc\xaf', 'is a 7z archive; unpack it and use the folder'),
    (b'\x1f\x8b', 'is a gzip archive; unpack it and use the folder'),
    (b'\xff\xd8\xff', 'is a single image; use the folder that contains it'),
    (b'\x89PNG', 'is a single image; use the folder that contains it'),
]


def open_zip(path):
    """Finds the images in a .zip; same arguments and results as ``open_folder``.

    Raises:
      UserError: it is not a .zip, is damaged, or cannot be read.
    """
    try:
        if not path.stat().st_size:
            raise UserError(f'{path} is empty; download it again')
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}') from error
    except UserError:
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise UserError(f'{path} {_describe_file(path)}') from error
    members, skipped, read = find_images(
        [(_name_of(member), member) for member in archive.infolist()],
        lambda member: stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG),
        functools.partial(_unpack, archive))
    files = {name: (member.file_size, member.date_time, member.CRC) for name, member in members.items()}
    return files, skipped, read


def _unpack(archive, member, limit):
    """Returns the first bytes of a member, in small steps, because its size in the directory may be a lie."""
    chunks, left = [], min(limit, member.file_size)
    try:
        with _open_member(archive, member) as stream:
            while left > 0 and (chunk := stream.read(min(left, CHUNK))):
                chunks.append(chunk)
                left -= len(chunk)
        content = b''.join(chunks)
        if limit >= member.file_size and zlib.crc32(content) != member.CRC:
            raise zipfile.BadZipFile('Bad CRC-32')
    except Exception as error:  # damaged or encrypted
        raise UserError(f'cannot read the file: {str(error) or type(error).__name__}') from error
    return content


def _open_member(archive, member):
    """Returns a stream of a member, which unpacks no more at a time than is read.

    zipfile's own unpacks 4 kB of bzip2 or LZMA at once, which may become 100 MB and more.
    """
    if member.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        return archive.open(member)
    packed = copy.copy(member)
    packed.compress_type, packed.file_size, packed.CRC = zipfile.ZIP_STORED, member.compress_size, None
    stream = archive.open(packed)
    if member.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2File(stream)
    _, length, properties, dictionary = struct.unpack('<HHBI', stream.read(9))  # .ZIP File Format Specification, 5.8.8
    if length != 5:
        raise zipfile.BadZipFile('invalid LZMA header')
    return lzma.LZMAFile(stream, format=lzma.FORMAT_RAW, filters=[{
        'id': lzma.FILTER_LZMA1, 'dict_size': min(dictionary, MAX_BYTES), 'lc': properties % 9,
        'lp': properties // 9 % 5, 'pb': properties // 45}])


def _name_of(member):
    """Returns the normal path of a member, with forward slashes; that of a folder ends with one.

    Archives made on a Chinese Windows have names in GBK, those of some other programs UTF-8, without saying so;
    zipfile reads both as code page 437.
    """
    name = member.orig_filename
    if not member.flag_bits & UTF8_FLAG and not name.isascii():
        encoded = name.encode('cp437', errors='ignore')
        for encoding in 'utf-8', 'gbk':
            try:
                name = encoded.decode(encoding)
                break
            except UnicodeDecodeError:
                pass
    name = name.partition('\0')[0].replace('\\', '/')
    return posixpath.normpath(name.lstrip('/') or 'unnamed') + '/' * name.endswith('/')


def _describe_file(path):
    """Says what a file is that zipfile cannot open, and what to do."""
    with path.open('rb') as file:
        head = file.read(512).removeprefix(b'\xef\xbb\xbf').lstrip()
    size = os.path.getsize(path)
    for signature, description in SIGNATURES:
        if head.startswith(signature):
            return f'{description} (size: {size:,} bytes)'
    return f'is not a folder, .zip, .tar or .parquet file ({size:,} bytes; the first are {head[:8]!r})'
