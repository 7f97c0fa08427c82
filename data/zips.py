"""Finds images in a .zip."""

import contextlib
import functools
import posixpath
import stat
import zipfile

from data.listing import SPECIAL, list_images
from dcgan.errors import UserError

METHODS = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
UTF8_FLAG = 0x800


def open_zip(path):
    """Finds the images in a .zip; same arguments and results as ``open_folder``.

    Raises:
      UserError: it is packed by an unusual method.
      Exception: it is not a .zip, is damaged or cannot be read.
    """
    opened = functools.partial(_open, path, path.stat().st_mtime_ns)
    if any(member.compress_type not in METHODS for member in opened().infolist()):
        raise UserError('holds files packed by bzip2, LZMA or another method than Deflate; unpack it')
    files, members = [], {}
    for member in opened().infolist():
        name = _name_of(member)
        if not name.endswith('/'):
            is_file = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG)
            files.append((name, None if is_file else SPECIAL, (member.file_size, member.date_time, member.CRC)))
            members[name] = member

    def read(name, limit):
        member = members[name]
        with opened().open(member) as stream:
            return stream.read(min(limit, member.file_size))  # no more: that size may be a lie

    return list_images(files, read)


@functools.lru_cache(maxsize=8)
def _open(path, modified):  # a folder may hold more of them than a process may open at once
    return zipfile.ZipFile(path)


def _name_of(member):
    """Returns the normal path of a member, with forward slashes; that of a folder ends with one.

    Archives made on a Chinese Windows have names in GBK, those of some other programs UTF-8, without saying so;
    zipfile reads both as code page 437.
    """
    name = member.orig_filename
    if not member.flag_bits & UTF8_FLAG and not name.isascii():
        encoded = name.encode('cp437', errors='ignore')
        for encoding in 'utf-8', 'gbk':
            with contextlib.suppress(UnicodeDecodeError):
                name = encoded.decode(encoding)
                break
    name = name.partition('\0')[0].replace('\\', '/')
    return posixpath.normpath(name.lstrip('/') or 'unnamed') + '/' * name.endswith('/')
