"""What is said of CelebA, whole or not. With CELEBA_DIR in the environment, real images of it are checked, too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data.celeba import COUNT, problems_of, shortfall
from data.source import open_source
from tests.pictures import write_images

ROOT = Path(__file__).parent.parent
SHAPE = (218, 178)
NAMES = [f'img_align_celeba/{number:06d}.jpg' for number in range(1, COUNT + 1)]


def check(*arguments):
    return subprocess.run([sys.executable, '-m', 'data.celeba', *arguments], capture_output=True, text=True, cwd=ROOT,
                          check=False)


def test_a_shortfall_names_the_first_that_are_missing():
    assert shortfall(NAMES, SHAPE) is None
    assert shortfall(NAMES[:6] + NAMES[7:], SHAPE) == (
        "202,598 of CelebA's 202,599 images are there; missing 1: 000007.jpg")
    assert shortfall(NAMES[2:4] + NAMES[5:100], SHAPE) == (
        "97 of CelebA's 202,599 images are there; missing 202,502: 000001.jpg, 000002.jpg, 000005.jpg, ...")


def test_of_other_data_nothing_is_said():
    assert shortfall(NAMES[:100], (96, 96)) is None
    assert shortfall([f'face{number}.jpg' for number in range(100)], SHAPE) is None


def test_everything_that_is_wrong_is_told(tmp_path):
    folder = write_images(tmp_path / 'img', 40, *SHAPE, suffix='.jpg')  # 000040.jpg is of the sample
    write_images(folder / 'again', 1, *SHAPE, suffix='.jpg')
    write_images(folder, 2, suffix='.jpg')
    (folder / '000009.jpg').write_bytes(b'')
    (folder / '000010.jpg').rename(folder / 'ten.jpg')
    said = '\n'.join(problems_of(open_source(folder)))
    for words in ('names not of CelebA (000001.jpg to 202599.jpg): 1, as ten.jpg',
                  'there more than once: 1, as 000001.jpg',
                  "39 of CelebA's 202,599 images are there; missing 202,560: 000010.jpg, 000041.jpg, 000042.jpg",
                  'not 178x218 pixels: 2, as 000001.jpg: 20x24; 000002.jpg: 20x24',
                  'broken: 1, as 000009.jpg: it is empty',
                  'not the bytes that were published: 1, as 000040.jpg',
                  'not one of the 200 images whose checksums are known here is as published'):
        assert words in said


def test_the_command_explains_and_checks(tmp_path):
    explained = check()
    assert (explained.returncode, explained.stderr) == (0, '')
    assert 'mmlab.ie.cuhk.edu.hk' in explained.stdout
    (tmp_path / 'img_align_celeba.zip').write_text('<html>')
    refused = check(tmp_path / 'img_align_celeba.zip')
    assert refused.returncode == 1
    assert 'is a web page' in refused.stderr
    assert 'Traceback' not in refused.stderr
    assert check('one', 'two').returncode == 1


@pytest.mark.skipif('CELEBA_DIR' not in os.environ, reason='CELEBA_DIR names no folder or .zip of CelebA')
def test_real_images_are_as_published():
    assert all('missing' in problem for problem in problems_of(open_source(os.environ['CELEBA_DIR'])))
