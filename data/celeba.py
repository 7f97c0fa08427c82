"""CelebA (Liu, Luo, Wang and Tang, ICCV 2015): 202,599 photographs of celebrities. They are for
non-commercial research only and may not be redistributed. Terms: https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html

From its authors:
1. On that page, follow "Align&Cropped Images", open the folder Img and download img_align_celeba.zip (1.4 GB) in a
   browser. Other programs get a web page under the same name, and so do browsers once Google Drive's daily quota is
   used up. (torchvision gives the MD5 of the archive as 00d2c5bc6d35e252742224ab0c1e8fcb.)
2. Do not unpack it: --dataset_dir=img_align_celeba.zip reads the archive itself. An unpacked folder works, too.
3. Check that the download is complete: python -m data.celeba img_align_celeba.zip
   This reads every image, which takes some minutes, and exits with status 0 if it finds no problem.

From the Hugging Face hub, where third parties uploaded a copy as .parquet files; CelebA's terms still apply:
1. pip install huggingface_hub '.[parquet]'
2. hf download flwrlabs/celeba --repo-type dataset --local-dir celeba
3. --dataset_dir=celeba reads these files.
"""

import hashlib
import json
import posixpath
import sys
from collections import Counter, defaultdict
from pathlib import Path

from absl import app

from data.crop import CELEBA_SHAPE
from data.source import open_source
from dcgan.errors import UserError, counted
from dcgan.progress import Progress
from dcgan.streams import protect_standard_streams

COUNT = 202_599
CHECKSUMS = Path(__file__).with_name('celeba_sha256.json')  # {name: first 16 hexadecimal digits of its SHA-256}


def missing_images(names, shape):
    """Describes which images are missing from a source that looks like the aligned CelebA.

    Args:
      names: list of str, the names of the images of a source.
      shape: (height, width) of its first image, in pixels.

    Returns:
      A sentence with the number of missing images and the names of the first three; None if no image is missing, or if
      this is another data set.
    """
    if shape != CELEBA_SHAPE:
        return None
    found = set(map(posixpath.basename, names))
    missing = [name for name in _published_names() if name not in found]
    if not missing or COUNT - len(missing) < 0.9 * len(names):
        return None
    return (f"found {COUNT - len(missing):,} of CelebA's {COUNT:,} images; {len(missing):,} missing: "
            f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}")


def problems_of(source):
    """Yields one sentence for each difference between a Source and the published aligned CelebA.

    Reads every image; compares the names, the count, and the checksums of 200 images.
    """
    names = list(map(posixpath.basename, source.names))
    problems = defaultdict(list)  # {what: [where]}
    problems['name not in 000001.jpg to 202599.jpg'] = sorted(set(names) - set(_published_names()))
    problems['more than one copy'] = [name for name, count in Counter(names).items() if count > 1]
    checksums = json.loads(CHECKSUMS.read_text())
    matches = 0
    for name, content in Progress(f'checking {source.name}', len(source.names), 'images').of(source.images()):
        expected = checksums.get(posixpath.basename(name))
        if isinstance(content, UserError):
            problems['unreadable image'].append(f'{name}: {content}')
        elif expected and hashlib.sha256(content).hexdigest().startswith(expected):
            matches += 1
        elif expected:
            problems['wrong checksum'].append(name)
    for problem, examples in problems.items():
        if examples:
            yield f'{problem}: {counted(len(examples), "image")}, e.g. {"; ".join(examples[:3])}'
    if missing := missing_images(source.names, CELEBA_SHAPE):
        yield missing
    if not matches:
        yield f'none of the {len(checksums)} known checksums matches'


def main(argv):
    if len(argv) != 2:
        print(__doc__.strip())
        return len(argv) > 2
    try:
        source = open_source(Path(argv[1]).expanduser())
        problems = list(problems_of(source))
    except UserError as error:
        sys.exit(f'data.celeba: {error}')
    except KeyboardInterrupt:
        sys.exit('\ndata.celeba: stopped before the check was complete')
    if problems:
        sys.exit('\n'.join([f'{argv[1]} differs from the published aligned CelebA; download it again:',
                            *(f'  {problem}' for problem in problems)]))
    print(f'{argv[1]} is the published aligned CelebA: {len(source.names):,} images of 178x218 pixels')


def _published_names():
    return [f'{number:06d}.jpg' for number in range(1, COUNT + 1)]


if __name__ == '__main__':
    protect_standard_streams()
    app.run(main)
