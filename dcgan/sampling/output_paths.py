"""Where the pictures of sample.py go; existing files are kept unless --overwrite is given."""

import os
from pathlib import Path

from dcgan.errors import UserError
from dcgan.sampling.latents import SavedLatent
from dcgan.sampling.pictures import require_library


def is_folder(out):
    """Returns whether --out names a folder: one that exists, or a name that ends in / or has no suffix."""
    return out.endswith('/') or Path(out).suffix == '' or os.path.isdir(out)


def picture_path(out, default, name, suffixes):
    """Returns the Path of a picture.

    Args:
      out: --out, a file or a folder; None or '' is ``default``.
      default: the folder without --out, a Path.
      name: of the file in a folder, without a suffix.
      suffixes: those that the picture may have; the first is the usual one.

    Raises:
      UserError: --out has another suffix, or the library that writes it is missing.
    """
    folder = Path(out) if out else default
    path = folder if out and not is_folder(out) else folder / f'{name}{suffixes[0]}'
    if path.suffix.lower() not in suffixes:
        raise UserError(f'--out={out} ends in {path.suffix}; expected {", ".join(suffixes)}, or / for a folder')
    require_library(path.suffix.lower())
    return path


def face_path(folder, seed):
    """Returns the Path of the file of one face, by its seed or SavedLatent."""
    return folder / (f'{seed}.png' if isinstance(seed, SavedLatent) else f'seed-{seed:07d}.png')


def refuse_to_overwrite(paths, overwrite, alternative=''):
    """Refuses to replace files.

    Args:
      paths: of the files to be written.
      overwrite: --overwrite; then nothing is refused.
      alternative: another thing to do, for the message.

    Raises:
      UserError: one of them exists.
    """
    existing = [path for path in paths if os.path.lexists(path)]
    if existing and not overwrite:
        found = (f'{existing[0]} exists' if len(existing) == 1 else
                 f'{len(existing):,} files exist, e.g. {existing[0]}')
        raise UserError(f'{found}; add --overwrite, {alternative}or choose another --out')
