"""Finds images in a .zip."""

import functools
import os
import posixpath
import stat
import zipfile

from data.archives import find_images
from data.folders import read_in_order
from dcgan.errors import UserError, reason_of

METHODS = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
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
    if any(member.compress_type not in METHODS for member in archive.infolist()):
        raise UserError(f'{path} holds files packed by bzip2, LZMA or another method than Deflate; unpack it and use '
                        'the folder')

    def read(member, limit):
        try:
            with archive.open(member) as stream:
                return stream.read(min(limit, member.file_size))  # no more: that size may be a lie
        except Exception as error:  # damaged or encrypted
            raise UserError(f'cannot read the file: {str(error) or type(error).__name__}') from error

    members, skipped = find_images(
        [(_name_of(member), stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG), member)
         for member in archive.infolist()], read)
    files = {name: (member.file_size, member.date_time, member.CRC) for name, member in members.items()}
    return files, skipped, functools.partial(read_in_order, lambda name, limit: read(members[name], limit))


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
