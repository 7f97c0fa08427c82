"""The metrics against other implementations; seeds, chunks and memory-mapped input."""

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


# Computed by plain implementations, in float64 and without chunks.
WASSERSTEIN = [{64: 69.9631, 32: 78.0131, 16: 121.8415, 'mean': 89.9392}, {40: 69.9209, 20: 95.3922, 'mean': 82.6565},
               {34: 74.4781, 17: 103.9706, 'mean': 89.2243}, {17: 150.1104, 'mean': 150.1104}]
SIMILARITY = {64: 0.8675844111523, 44: 0.8713773111113, 16: 0.8687327262666, 13: 0.8686774136533}


@pytest.mark.parametrize('expected', WASSERSTEIN)
def test_wasserstein_equals_a_plain_implementation(expected):
    size = next(iter(expected))
    real, fake = pictures(1, 5, size), pictures(2, 5, size) // 2
    assert sliced_wasserstein(real, fake, 3) == pytest.approx(expected, rel=1e-5)


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


@pytest.mark.parametrize(('size', 'expected'), SIMILARITY.items())
def test_similarity_equals_a_plain_implementation(size, expected):
    first = pictures(1, 6, size)
    second = np.clip(0.7 * first + 0.3 * pictures(2, 6, size) + 5, 0, 255).astype(np.uint8)
    assert ms_ssim(first, second) == pytest.approx(expected, rel=1e-9)


def test_similarity_equals_that_of_tensorflow():
    # TensorFlow combines the scales per channel, ProGAN the channels' means; for equal channels, this is the same.
    first, second = (pictures(seed, 2, 192)[..., :1].repeat(3, axis=3) for seed in (1, 2))
    second = np.clip(0.6 * first + 0.4 * second, 0, 255).astype(np.uint8)
    with tf.Graph().as_default(), tf.Session() as session:
        expected = session.run(tf.image.ssim_multiscale(first, second, 255))
    assert ms_ssim(first, second) == pytest.approx(expected.mean(), rel=1e-5)
    assert ms_ssim(first, first) == pytest.approx(1, abs=1e-12)
    assert ms_ssim(first, 255 - first) == 0  # a negative correlation at a scale counts as 0


def test_frechet_distance_equals_the_formula_for_known_gaussians():
    first = FeatureStatistics(np.array([1.0, 2.0, 3.0]), np.diag([1.0, 4.0, 0.0]))
    second = FeatureStatistics(np.array([1.0, 0.0, 0.0]), np.diag([9.0, 1.0, 25.0]))
    assert frechet_distance(first, second) == pytest.approx(4 + 9 + 4 + 1 + 25, rel=1e-12)
    real, fake = np.array([[0.0], [2.0], [4.0]]), np.array([[9.0], [10.0], [11.0]])  # 2 and 10, deviations 2 and 1
    assert frechet_distance(feature_statistics(real), feature_statistics(fake)) == pytest.approx(8 ** 2 + 1)


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
