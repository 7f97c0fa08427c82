"""The check of CelebA. If the environment names a copy in CELEBA_DIR, its images are checked, too."""

import subprocess
import sys
from pathlib import Path

from data.celeba import COUNT, missing_images, problems_of
from data.source import open_source
from tests.pictures import write_images

ROOT = Path(__file__).parents[2]
SHAPE = (218, 178)
NAMES = [f'img_align_celeba/{number:06d}.jpg' for number in range(1, COUNT + 1)]


def check(*arguments):
    return subprocess.run([sys.executable, '-m', 'data.celeba', *arguments], capture_output=True, text=True, cwd=ROOT,
                          check=False)


def test_missing_images_are_counted_and_the_first_are_named():
    assert missing_images(NAMES, SHAPE) is None
    assert missing_images(NAMES[:6] + NAMES[7:], SHAPE) == (
        "found 202,598 of CelebA's 202,599 images; 1 missing: 000007.jpg")
    assert missing_images(NAMES[2:4] + NAMES[5:100], SHAPE) == (
        "found 97 of CelebA's 202,599 images; 202,502 missing: 000001.jpg, 000002.jpg, 000005.jpg, ...")


def test_other_data_sets_are_not_taken_for_celeba():
    assert missing_images(NAMES[:100], (96, 96)) is None
    assert missing_images([f'face{number}.jpg' for number in range(100)], SHAPE) is None


def test_every_problem_is_reported(tmp_path):
    folder = write_images(tmp_path / 'img', 40, *SHAPE, suffix='.jpg')  # 000040.jpg has a known checksum
    write_images(folder / 'again', 1, *SHAPE, suffix='.jpg')
    write_images(folder, 2, suffix='.jpg')
    (folder / '000009.jpg').write_bytes(b'')
    (folder / '000010.jpg').rename(folder / 'ten.jpg')
    assert sorted(problems_of(open_source(folder))) == [
        "found 39 of CelebA's 202,599 images; 202,560 missing: 000010.jpg, 000041.jpg, 000042.jpg, ...",
        'more than one copy: 1 image, e.g. 000001.jpg',
        'name not in 000001.jpg to 202599.jpg: 1 image, e.g. ten.jpg',
        'none of the 200 known checksums matches',
        'wrong checksum: 1 image, e.g. 000040.jpg',
    ]


def test_the_command_explains_the_download_and_checks_it(tmp_path):
    explained = check()
    assert (explained.returncode, explained.stderr) == (0, '')
    assert 'mmlab.ie.cuhk.edu.hk' in explained.stdout
    (tmp_path / 'img_align_celeba.zip').write_text('<html>')
    refused = check(tmp_path / 'img_align_celeba.zip')
    assert refused.returncode == 1
    assert 'is a web page' in refused.stderr
    assert 'Traceback' not in refused.stderr
    assert check('one', 'two').returncode == 1
