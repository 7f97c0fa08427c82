"""The metrics against plain implementations; seeds, chunks, memory-mapped input and invalid input."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dcgan.errors import UserError
from dcgan.metrics import inception
from dcgan.metrics.fid import FeatureStatistics, feature_statistics, frechet_distance, kernel_distance
from dcgan.metrics.inception import Inception
from dcgan.metrics.ms_ssim import ms_ssim
from dcgan.metrics.swd import sliced_wasserstein
from tests.metrics import inception as stand_in


def pictures(seed, count, size):
    """Coarse and fine noise, so that neighboring pixels are correlated; uint8 [count, size, size, 3]."""
    random = np.random.RandomState(seed)
    coarse = random.uniform(0, 200, [count, -(-size // 4), -(-size // 4), 3]).repeat(4, axis=1).repeat(4, axis=2)
    return (coarse[:, :size, :size] + random.uniform(0, 55, [count, size, size, 3])).astype(np.uint8)


def mapped(array, path):
    np.save(path, array)
    return np.load(path, mmap_mode='r')


def blurred(images):
    """Images filtered as in ProGAN, by 5x5 taps one by one; float64 [n, s, s, 3]."""
    taps = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)], mode='reflect')
    size = images.shape[1]
    return sum(taps[i, j] * padded[:, i:i + size, j:j + size] for i in range(5) for j in range(5))


def laplacian_pyramid(images, levels):
    pyramid = [images.astype(np.float64)]
    for _ in range(levels - 1):
        small = blurred(pyramid[-1])[:, ::2, ::2]
        spread = np.zeros_like(pyramid[-1])
        spread[:, ::2, ::2] = small
        pyramid[-1] = pyramid[-1] - 4 * blurred(spread)
        pyramid.append(small)
    return pyramid


def plain_descriptors(level, places):
    patches = np.array([[image[y:y + 7, x:x + 7].transpose(2, 0, 1) for y, x in of_image]
                        for image, of_image in zip(level, places, strict=True)]).reshape(-1, 3, 49)
    patches -= patches.mean(axis=(0, 2), keepdims=True)
    return (patches / patches.std(axis=(0, 2), keepdims=True)).reshape(-1, 147)


def plain_wasserstein(real, fake, sizes, seed):
    """ProGAN's computation in memory, in float64, with the random numbers of the metric."""
    results = {}
    for size, *levels in zip(sizes, *(laplacian_pyramid(images, len(sizes)) for images in (real, fake)), strict=True):
        places = np.random.RandomState([seed, size, 0]).randint(0, size - 6, [len(real), 128, 2])
        directions = np.random.RandomState([seed, size, 1]).randn(512, 147)
        directions /= np.sqrt((directions ** 2).sum(axis=1, keepdims=True))
        first, second = (np.sort(plain_descriptors(level, places) @ directions.T, axis=0) for level in levels)
        results[size] = 1000 * np.abs(first - second).mean()
    return {**results, 'mean': np.mean(list(results.values()))}


@pytest.mark.parametrize(('size', 'sizes'), [(64, [64, 32, 16]), (40, [40, 20]), (34, [34, 17]), (17, [17])])
def test_wasserstein_equals_a_plain_implementation(size, sizes):
    real, fake = pictures(1, 5, size), pictures(2, 5, size) // 2
    assert sliced_wasserstein(real, fake, 3) == pytest.approx(plain_wasserstein(real, fake, sizes, 3), rel=1e-5)


def test_wasserstein_depends_only_on_images_and_seed(monkeypatch, tmp_path):
    real, fake = pictures(1, 20, 32), pictures(2, 20, 32)
    found = sliced_wasserstein(real, fake)
    assert list(found) == [32, 16, 'mean']
    assert sliced_wasserstein(mapped(real, tmp_path / 'r.npy'), mapped(fake, tmp_path / 'f.npy'), 0, tmp_path) == found
    assert sorted(path.name for path in tmp_path.iterdir()) == ['f.npy', 'r.npy']
    other = sliced_wasserstein(real, fake, 1)
    assert other != found
    assert other == pytest.approx(found, rel=0.2)
    monkeypatch.setattr('dcgan.metrics.swd.CHUNK_IMAGES', 7)
    assert sliced_wasserstein(real, fake) == pytest.approx(found, rel=1e-6)


def test_wasserstein_is_0_for_equal_and_for_blank_images_and_ignores_contrast():
    images, blank = pictures(1, 10, 32) // 2 * 2, np.full([10, 32, 32, 3], 9, np.uint8)
    for same in images, blank:
        assert set(sliced_wasserstein(same, same.copy()).values()) == {0.0}
    assert sliced_wasserstein(images, images // 2)['mean'] < 1e-3
    assert np.isfinite(sliced_wasserstein(images, blank)['mean'])


@pytest.mark.parametrize(('shape', 'other', 'dtype'), [
    ([3, 16, 16, 3], [2, 16, 16, 3], np.uint8), ([3, 16, 16, 3], [3, 32, 32, 3], np.uint8),
    ([0, 16, 16, 3], [0, 16, 16, 3], np.uint8), ([3, 16, 16, 3], [3, 16, 16, 3], np.float32),
    ([3, 16, 16, 1], [3, 16, 16, 1], np.uint8), ([3, 16, 32, 3], [3, 16, 32, 3], np.uint8)])
@pytest.mark.parametrize('metric', [sliced_wasserstein, ms_ssim])
def test_invalid_images_are_rejected(metric, shape, other, dtype):
    with pytest.raises(ValueError, match=r'^expected two sets of images, uint8 \[n, s, s, 3\] of one shape.*; got '):
        metric(np.zeros(shape, np.uint8), np.zeros(other, dtype))


def plain_scale(first, second):
    width = min(11, first.shape[1])
    offsets = np.arange(width) - (width - 1) / 2
    window = np.exp(-np.add.outer(offsets ** 2, offsets ** 2) / (2 * (width * 1.5 / 11) ** 2))
    window /= window.sum()

    def filtered(images):
        return np.einsum('nyxcij,ij->nyxc', np.lib.stride_tricks.sliding_window_view(images, window.shape, (1, 2)),
                         window)

    mean_1, mean_2 = filtered(first), filtered(second)
    variance_1, variance_2 = filtered(first ** 2) - mean_1 ** 2, filtered(second ** 2) - mean_2 ** 2
    covariance = filtered(first * second) - mean_1 * mean_2
    contrast = (2 * covariance + 58.5225) / (variance_1 + variance_2 + 58.5225)
    luminance = (2 * mean_1 * mean_2 + 6.5025) / (mean_1 ** 2 + mean_2 ** 2 + 6.5025)
    return (luminance * contrast).mean(axis=(1, 2, 3)), contrast.mean(axis=(1, 2, 3))


def plain_halves(images):
    """Means of each pixel and its right and lower neighbors; the last pixel is its own neighbor."""
    size = images.shape[1]
    after = np.minimum(np.arange(size) + 1, size - 1)
    images = (images + images[:, after]) / 2
    return ((images + images[:, :, after]) / 2)[:, ::2, ::2]


def plain_ms_ssim(first, second):
    first, second, product = first.astype(np.float64), second.astype(np.float64), 1
    for weight in [0.0448, 0.2856, 0.3001, 0.2363]:
        product = product * np.clip(plain_scale(first, second)[1], 0, None) ** weight
        first, second = plain_halves(first), plain_halves(second)
    return (product * np.clip(plain_scale(first, second)[0], 0, None) ** 0.1333).mean()


@pytest.mark.parametrize('size', [64, 44, 16, 13])
def test_similarity_equals_a_plain_implementation(size):
    first = pictures(1, 6, size)
    second = np.clip(0.7 * first + 0.3 * pictures(2, 6, size) + 5, 0, 255).astype(np.uint8)
    assert ms_ssim(first, second) == pytest.approx(plain_ms_ssim(first, second), rel=1e-9)
    assert 0.2 < ms_ssim(first, second) < 0.99


def test_similarity_equals_that_of_tensorflow():
    # TensorFlow combines the scales per channel, ProGAN the channels' means; for equal channels, this is the same.
    first, second = (pictures(seed, 2, 192)[..., :1].repeat(3, axis=3) for seed in (1, 2))
    second = np.clip(0.6 * first + 0.4 * second, 0, 255).astype(np.uint8)
    with tf.Graph().as_default(), tf.Session() as session:
        expected = session.run(tf.image.ssim_multiscale(first, second, 255))
    assert ms_ssim(first, second) == pytest.approx(expected.mean(), rel=1e-5)
    assert ms_ssim(first, first) == pytest.approx(1, abs=1e-12)
    assert ms_ssim(first, 255 - first) == 0  # a negative correlation at a scale counts as 0


def test_similarity_is_the_mean_over_pairs_for_any_chunk(monkeypatch, tmp_path):
    first, second = pictures(1, 7, 32), pictures(2, 7, 32)
    second[3:] = first[3:]
    one_by_one = [ms_ssim(first[i:i + 1], second[i:i + 1]) for i in range(7)]
    assert ms_ssim(first, second) == pytest.approx(np.mean(one_by_one), rel=1e-12)
    monkeypatch.setattr('dcgan.metrics.ms_ssim.CHUNK_BYTES', 3 * 8 * 32 * 32 * 3)
    assert ms_ssim(mapped(first, tmp_path / 'images.npy'), second) == pytest.approx(np.mean(one_by_one), rel=1e-12)


def correlated(seed, count, dimensions):
    random = np.random.RandomState(seed)
    return (random.randn(count, dimensions) @ random.randn(dimensions, dimensions) + 3).astype(np.float32)


def test_frechet_distance_equals_the_formula_for_known_gaussians():
    first = FeatureStatistics(np.array([1.0, 2.0, 3.0]), np.diag([1.0, 4.0, 0.0]))
    second = FeatureStatistics(np.array([1.0, 0.0, 0.0]), np.diag([9.0, 1.0, 25.0]))
    assert frechet_distance(first, second) == pytest.approx(4 + 9 + 4 + 1 + 25, rel=1e-12)
    real, fake = np.array([[0.0], [2.0], [4.0]]), np.array([[9.0], [10.0], [11.0]])  # 2 and 10, deviations 2 and 1
    assert frechet_distance(feature_statistics(real), feature_statistics(fake)) == pytest.approx(8 ** 2 + 1)


@pytest.mark.parametrize('count', [300, 10])  # 10 samples in 20 dimensions have a singular covariance
def test_frechet_distance_of_equal_statistics_is_0(count):
    statistics = feature_statistics(correlated(1, count, 20))
    assert frechet_distance(statistics, statistics) == pytest.approx(0, abs=1e-5)


def test_feature_statistics_equal_those_of_numpy_for_any_chunk(monkeypatch, tmp_path):
    features = correlated(1, 50, 6) + np.float32(1000)
    monkeypatch.setattr('dcgan.metrics.fid.CHUNK_BYTES', 7 * 8 * 6)
    found = feature_statistics(mapped(features, tmp_path / 'features.npy'))
    np.testing.assert_allclose(found.mean, features.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-9)


def plain_discrepancy(real, fake):
    def kernel(x, y):
        return (float(np.dot(x, y)) / len(x) + 1) ** 3

    count = len(real)
    within = sum(kernel(features[i], features[j]) for features in (real, fake) for i in range(count)
                 for j in range(count) if i != j) / (count * (count - 1))
    return within - 2 * sum(kernel(x, y) for x in real for y in fake) / count ** 2


def test_kernel_distance_equals_a_plain_implementation():
    real, fake = np.random.RandomState(1).randn(12, 5), np.random.RandomState(2).randn(12, 5) + 0.5
    assert kernel_distance(real, fake, subsets=3) == pytest.approx(plain_discrepancy(real, fake), rel=1e-12)


def test_kernel_distance_averages_over_random_subsets(tmp_path):
    real, fake = np.random.RandomState(1).randn(40, 5), np.random.RandomState(2).randn(40, 5) + 0.5
    found = kernel_distance(real, fake, 400, 20)
    assert found == pytest.approx(plain_discrepancy(real, fake), rel=0.1)
    assert kernel_distance(mapped(real, tmp_path / 'features.npy'), fake, 400, 20) == found
    assert kernel_distance(real, fake, 400, 20, seed=1) != found
    assert kernel_distance(real, fake[:20], 1, 1000) == kernel_distance(real, fake[:20], 1, 20)


@pytest.mark.parametrize('features', [np.zeros([4, 5, 1]), np.zeros([1, 5]), np.zeros([4, 5], np.uint8)])
def test_invalid_features_are_rejected(features):
    with pytest.raises(ValueError, match=r'expected features as floats \[n, d\]'):
        feature_statistics(features)
    with pytest.raises(ValueError, match=r'expected features as floats \[n, d\]'):
        kernel_distance(np.zeros([4, 5]), features)


@pytest.fixture(scope='module')
def graph(tmp_path_factory):
    return stand_in.write_stand_in(tmp_path_factory.mktemp('inception') / 'graph.pb')


@pytest.mark.parametrize('batch_size', [3, 50])
def test_features_equal_those_of_the_graph(graph, batch_size, tmp_path):
    images = pictures(1, 7, stand_in.SIZE)
    with Inception(graph, batch_size) as network:
        batches = list(network.features(mapped(images, tmp_path / 'images.npy')))
    assert max(map(len, batches)) == min(batch_size, len(images))
    features = np.concatenate(batches)
    assert (features.dtype, network.dimensions) == (np.float32, 8)
    np.testing.assert_allclose(features, stand_in.features_of(images), rtol=1e-5)


def test_larger_images_are_resized_by_the_graph_which_is_recognized_by_its_digest(graph, monkeypatch):
    images = pictures(1, 3, stand_in.SIZE)
    with Inception(graph) as network:
        [larger] = network.features(images.repeat(2, axis=1).repeat(2, axis=2))  # the graph takes every other pixel
        assert (len(network.digest), network.is_known) == (64, False)
    np.testing.assert_allclose(larger, stand_in.features_of(images), rtol=1e-5)
    monkeypatch.setattr(inception, 'KNOWN_SHA256', network.digest)
    with Inception(graph) as network:
        assert network.is_known


def changed(graph, change):
    graph_def = tf.GraphDef.FromString(graph.read_bytes())
    change({node.name: node for node in graph_def.node})
    return graph_def.SerializeToString()


@pytest.mark.parametrize(('content', 'sentence'), [
    (lambda graph: b'no graph', 'Error parsing'), (lambda graph: b'', 'pool_3 is not in graph'),
    (lambda graph: changed(graph, lambda nodes: setattr(nodes['ExpandDims'], 'name', 'Expand')), 'ExpandDims'),
    (lambda graph: changed(graph, lambda nodes: setattr(nodes['Relu'], 'op', 'NoSuchOp')), 'NoSuchOp'),
    (lambda graph: changed(graph, lambda nodes: nodes['pool_3'].attr['ksize'].list.i.__setitem__(1, 2)),
     r'pool_3 has shape \(None, 7, 1, 8\), not \[images, 1, 1, features\]')])
def test_another_graph_is_reported(graph, tmp_path, content, sentence):
    (tmp_path / 'graph.pb').write_bytes(content(graph))
    with pytest.raises(UserError, match=rf'(?s)^cannot use .*graph\.pb: .*{sentence}.*; expected classify_ima'):
        Inception(tmp_path / 'graph.pb')


def test_an_unreadable_graph_is_reported(tmp_path):
    with pytest.raises(UserError, match=r'cannot read .*: No such file.*; expected classify_image_graph_def\.pb'):
        Inception(tmp_path / 'missing.pb')
