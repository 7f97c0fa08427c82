"""The graph is the article's: names, shapes, collections and end points, as TensorFlow 1.15.5 built them."""

import math

import pytest
import tensorflow.compat.v1 as tf

from comparison.proof import ADDED, build
from model import DCGAN
from tests.article import FACTS

CONFIGS = {'full': {}, 'small': FACTS['small']['config']}


@pytest.fixture(scope='module', params=CONFIGS)
def graph(request):
    with tf.Graph().as_default() as graph:
        built = build(**CONFIGS[request.param])
    return graph, built, FACTS[request.param]


def shape_of(value):
    return value.shape.as_list()


def test_variables(graph):
    graph, _, facts = graph
    trainable = {variable.op.name for variable in graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES)}
    ours = [[variable.op.name, shape_of(variable), variable.op.name in trainable]
            for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES) if variable.op.name not in ADDED]
    assert ours == facts['variables']


def test_only_the_named_variables_are_added(graph):
    graph, _, facts = graph
    ours = {variable.op.name for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)}
    assert ours - {name for name, _, _ in facts['variables']} == set(ADDED)


def test_collections(graph):
    graph, _, facts = graph
    assert {name: len(graph.get_collection(name)) for name in facts['collections']} == facts['collections']


@pytest.mark.parametrize('network', ['g', 'd'])
def test_variables_and_parameters_of_each_network(graph, network):
    _, built, facts = graph
    variables = getattr(built.dcgan, network).variables
    assert [variable.op.name for variable in variables] == facts[f'{network}_variables']
    assert sum(math.prod(shape_of(variable)) for variable in variables) == facts[f'{network}_parameters']


def test_end_points(graph):
    graph, _, facts = graph
    operations = [graph.get_operation_by_name(name) for name, _, _ in facts['endpoints']]
    assert [[op.name, op.type, [shape_of(output) for output in op.outputs]] for op in operations] == facts['endpoints']


def test_losses_are_keyed_by_their_network(graph):
    _, built, _ = graph
    assert {network: loss.op.name for network, loss in built.losses.items()} == {
        built.dcgan.g: 'total_g_loss', built.dcgan.d: 'total_d_loss'}


def test_there_is_no_placeholder(graph):
    graph, _, _ = graph
    assert not [op for op in graph.get_operations() if op.type.startswith('Placeholder')]


@pytest.mark.parametrize(('s_size', 'g_depths', 'd_depths', 'size'), [
    (4, [8], [4], 8),
    (3, [12, 8, 4], [4, 6, 8, 10, 12], 24),
    (5, (16, 8, 8, 4, 4), (4,), 160),
])
def test_any_depths_and_sizes(s_size, g_depths, d_depths, size):
    with tf.Graph().as_default(), tf.Session() as session:
        built = build(batch_size=3, s_size=s_size, z_dim=7, g_depths=g_depths, d_depths=d_depths)
        session.run(tf.global_variables_initializer())
        session.run(built.train)
        assert shape_of(built.dcgan.z) == [3, 7]
        assert shape_of(built.dcgan.g(built.dcgan.z)) == [3, size, size, 3]


def test_the_networks_take_any_number_of_images():
    with tf.Graph().as_default(), tf.Session() as session:
        built = build(batch_size=4, g_depths=[8, 4], d_depths=[4, 8])
        latents = tf.placeholder(tf.float32, [None, 100])
        logits = built.dcgan.d(built.dcgan.g(latents), name='any')
        session.run(tf.global_variables_initializer())
        for count in 1, 9:
            assert session.run(logits, {latents: session.run(tf.zeros([count, 100]))}).shape == (count, 2)


def test_sampling_before_the_loss_leaves_the_train_op_alone():
    with tf.Graph().as_default() as graph:
        dcgan = DCGAN(batch_size=4, g_depths=[8, 4], d_depths=[4, 8])
        dcgan.sample_images(2, 2)
        losses = dcgan.loss(tf.zeros([4, 16, 16, 3]))
        dcgan.train(losses)
        sampling = graph.get_operation_by_name('g/tanh/outputs')
        assert sampling not in _ancestors(graph.get_operation_by_name('train'))


def _ancestors(operation):
    seen, waiting = set(), [operation]
    while waiting:
        operation = waiting.pop()
        if operation not in seen:
            seen.add(operation)
            waiting += [tensor.op for tensor in operation.inputs] + operation.control_inputs
    return seen
