"""What each metric is, and names of metrics, a kind and a sample size: swd16k, msssim10k, fid50k, kid50k, swd500."""

import re
from typing import NamedTuple

from dcgan.errors import UserError

FEATURE_METRICS = ('fid', 'kid')  # these need the Inception graph
PROGAN = 'swd16k', 16_384  # ProGAN's sample size; in other names, k is 1,000

# What each kind of metric is; printed and stored with the results.
PROTOCOLS = {
    'swd': 'sliced Wasserstein distance x 1000 as in ProGAN (Karras et al., 2018): at each level of the Laplacian '
           'pyramid, 128 patches of 7x7 per image, normalized channels, 4 times 128 directions',
    'msssim': 'mean multi-scale SSIM of pairs of faces, 5 scales, as in ProGAN: 1 if all faces are equal; the floor is '
              'that of real pairs, one image of each half',
    'fid': "Frechet distance (Heusel et al., 2017) of features of Inception's pool_3; as many real images as faces",
    'kid': "squared maximum mean discrepancy (Binkowski et al., 2018) of features of Inception's pool_3: cubic kernel, "
           'unbiased, mean of 100 subsets of 1,000, or of all images if there are fewer',
}


class Metric(NamedTuple):
    """A metric and its sample size.

    Attributes:
      name: e.g. swd16k.
      kind: a key of ``PROTOCOLS``.
      count: generated images; for msssim, pairs of them.
    """

    name: str
    kind: str
    count: int


def parse_metrics(names):
    """Returns the Metrics of names such as swd16k or fid5000, without duplicates.

    Raises:
      UserError: a name is invalid, or there is none.
    """
    if not names:
        raise UserError('--metrics is empty; expected e.g. swd16k,msssim10k')
    metrics = []
    for name in dict.fromkeys(names):
        match = re.fullmatch(rf'({"|".join(PROTOCOLS)})(\d{{1,9}})(k?)', name, re.ASCII)
        count = match and (PROGAN[1] if name == PROGAN[0] else int(match[2]) * (1000 if match[3] else 1))
        if not match or count < 2:
            raise UserError(f'invalid metric {name!r:.40} in --metrics; expected {", ".join(PROTOCOLS)} with a sample '
                            'size of 2 or more, e.g. swd16k, msssim10k, fid50k, kid50k or swd500')
        metrics.append(Metric(name, match[1], count))
    return metrics


def metric_name(kind, count):
    """Returns the name of a metric, as ``parse_metrics`` reads it."""
    thousands, rest = divmod(count, 1000)
    name = f'{kind}{thousands}k'
    return f'{kind}{count}' if rest or name == PROGAN[0] else name


def default_metrics(count, with_features):
    """Returns the default Metrics: the usual sample sizes, or smaller ones that leave each metric a floor.

    Args:
      count: number of real images.
      with_features: whether to include the metrics that need the Inception graph.
    """
    half = count // 2
    swd = PROGAN[0] if half >= PROGAN[1] else metric_name('swd', half)
    names = [swd, metric_name('msssim', min(10_000, half * half))]
    if with_features:
        names += [metric_name(kind, min(50_000, half)) for kind in FEATURE_METRICS]
    return parse_metrics(names)
