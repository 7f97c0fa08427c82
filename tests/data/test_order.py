"""The order of the images, and the stream that delivers them in it."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import ops  # noqa: F401 (puts TensorFlow into graph mode)
from data.order import batch_indices, steps_per_epoch
from data.stream import stream
from tests.pictures import random_image


def test_every_epoch_is_a_new_permutation_without_the_remainder():
    epochs = [np.concatenate([batch_indices(step, 10, 3, seed=5) for step in range(3 * epoch, 3 * epoch + 3)])
              for epoch in range(4)]
    assert steps_per_epoch(10, 3) == 3
    assert all(len(set(epoch)) == 9 and set(epoch) <= set(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert not np.array_equal(batch_indices(0, 10, 3, seed=5), batch_indices(0, 10, 3, seed=6))


def test_the_order_of_the_images_is_the_same_on_every_version():
    """An old checkpoint resumes with the same images on newer versions of NumPy and TensorFlow."""
    assert batch_indices(7, 1000, 6, seed=1).tolist() == [339, 868, 681, 524, 293, 761]
    assert batch_indices(100_000, 1000, 6, seed=1).tolist() == [248, 863, 916, 441, 257, 37]


@pytest.mark.parametrize('first_step', [0, 100_000])
def test_the_stream_delivers_the_images_in_that_order(first_step):
    images = np.stack([random_image(seed, 4, 4) for seed in range(10)])
    with tf.Graph().as_default(), tf.Session() as session:
        start = tf.Variable(first_step, dtype=tf.int64)
        batches = tf.data.make_initializable_iterator(stream(images, 3, seed=2, first_step=start))
        batch = batches.get_next()
        session.run(start.initializer)
        session.run(batches.initializer)
        assert (batch.dtype, batch.shape.as_list()) == (tf.float32, [3, 4, 4, 3])
        for step in range(first_step, first_step + 7):
            expected = images[batch_indices(step, 10, 3, seed=2)] / np.float32(127.5) - 1
            np.testing.assert_allclose(session.run(batch), expected, rtol=0, atol=1e-6)
