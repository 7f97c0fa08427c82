"""Arrays that take long to compute, cached in .npz files, whose values have checksums."""

import numpy as np

from dcgan.errors import reason_of
from dcgan.files import replacing, require_regular


def cached_arrays(path, made_of, compute):
    """Returns arrays from a cache file; computes and writes them if it is missing, damaged or made of something else.

    Args:
      path: of the file, a Path.
      made_of: str, what the arrays are computed from.
      compute: function without arguments; returns {name: array}.

    Raises:
      UserError: there is something else than a file.
    """
    require_regular([path])
    try:
        with np.load(path) as file:
            arrays = dict(file)
        if str(arrays.pop('made_of')) == made_of and arrays:
            return arrays
    except FileNotFoundError:
        pass
    except Exception:  # NumPy raises nearly anything for a damaged file
        print(f'cache file {path} is corrupt; rebuilding it')
    arrays = compute()
    try:
        with replacing(path) as part, part.open('wb') as file:
            np.savez(file, made_of=made_of, **arrays)
    except OSError as error:
        print(f'warning     cannot write {path}: {reason_of(error)}; it will be computed again next time')
    return arrays
