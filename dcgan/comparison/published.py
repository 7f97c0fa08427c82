"""Published numbers of DCGANs on CelebA at 64x64, with protocols and sources."""

from typing import NamedTuple


class Published(NamedTuple):
    """Numbers of a paper or project, as text.

    Attributes:
      source: the paper or project.
      trained: data set, settings and number of updates.
      measured: protocol.
      values: names and values.
    """

    source: str
    trained: str
    measured: str
    values: list[str]


PUBLISHED = [
    Published('TTUR [1]: DCGAN, one learning rate',
              'aligned and cropped CelebA (crop not stated), batch 64, both networks at 0.0005, 70,000 updates',
              'FID of 50,000 samples, not rounded to bytes, and all training images; the best of all updates and '
              'learning rates', ['FID 21.4']),
    Published('TTUR [1]: DCGAN, two learning rates',
              'the same, discriminator at 0.00001, generator at 0.0005, 225,000 updates', 'the same', ['FID 12.5']),
    Published('TTUR [1]: DCGAN, its curve',
              'the same, one learning rate, 8 runs; all diverged in the end',
              'the same, mean [min..max] of the runs, read from the figure',
              ['FID at 5,000: 59.4 [50.5..70]', 'FID at 15,000: 46.0 [38.1..55.6]']),
    Published('mmgeneration [2]: DCGAN',
              'CelebA-cropped (crop not stated), batch 128, both networks at 0.0002, 300,000 updates',
              "SWD x 1000 of 16,384 images; its pyramid pads with zeros and enlarges in another way than ProGAN's; "
              'MS-SSIM of 5,000 pairs',
              ['SWD 64: 8.93', '32: 10.53', '16: 50.32', 'mean: 23.26', 'MS-SSIM 0.2899']),
]

SOURCES = [
    '[1] Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter: GANs Trained by a Two Time-Scale Update Rule Converge to '
    'a Local Nash Equilibrium, 2017 (arXiv:1706.08500): Table 1, Figure 5; batch and updates also in bioinf-jku/TTUR, '
    'DCGAN_FID_batched/run.sh.',
    '[2] open-mmlab/mmgeneration, configs/dcgan/README.md, dcgan_celeba-cropped_64_b128x1_300k.py, '
    'mmgen/core/evaluation.',
]

# The article's settings, as far as it states them.
ARTICLE = {'g_depths': '1024, 512, 256, 128', 'd_depths': '64, 128, 256, 512', 'learning_rate': '0.0002',
           'beta1': '0.5', 'd_learning_rate': 'the same', 'ema_decay': 'none'}
