"""Several workers: TF_CONFIG, one model with averaged gradients, and workers that die, hang or differ."""

import json
import re
import shutil
import signal
import socket
import sys
import textwrap

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from data.order import batch_indices
from dcgan.distributed.collectives import Cluster, SingleWorker
from dcgan.distributed.tf_config import ClusterSpec, read_tf_config
from dcgan.errors import UserError
from dcgan.training.graph import build_graph
from model import DCGAN
from tests.small_runs import SMALL, assert_same_run, command, config, log, saved_steps, variables
from tests.workers import await_server, end, free_addresses, launch, start, tf_config, wait_for_step

A, B, C = 'a:1', 'b:2', 'c:3'


def content(cluster, kind='worker', index=0, **more):
    return json.dumps({'cluster': cluster, 'task': {'type': kind, 'index': index}, **more})


@pytest.fixture
def parse(monkeypatch):
    """Reads a value of TF_CONFIG."""
    def parse(value):
        if value is None:
            monkeypatch.delenv('TF_CONFIG', raising=False)
        else:
            monkeypatch.setenv('TF_CONFIG', value)
        return read_tf_config()
    return parse


@pytest.mark.parametrize('value', [None, '', content({'worker': [A]}), content({'chief': [A]}, 'chief'),
                                   content({'chief': [A], 'worker': [], 'ps': []}, 'chief', environment='cloud')])
def test_one_worker_is_no_cluster(value, parse):
    assert parse(value) is None


def test_ranks_are_counted_from_the_chief(parse):
    assert parse(content({'worker': [A, B]}, index=1)) == ClusterSpec(['worker 0 (a:1)', 'worker 1 (b:2)'], [A, B], 1)
    assert parse(content({'worker': [B, C], 'chief': [A], 'evaluator': ['d:4']}, index='1')) == ClusterSpec(
        ['chief 0 (a:1)', 'worker 0 (b:2)', 'worker 1 (c:3)'], [A, B, C], 2)


@pytest.mark.parametrize(('value', 'sentence'), [
    ('worker', 'is not JSON: Expecting value'),
    ('[]', 'has no object "cluster"'),
    ('{"cluster": {}}', 'has no object "task"'),
    (content({}), 'makes this task worker 0, which is not in its cluster; known tasks: none'),
    (content({'worker': [A, B]}, index=2), 'makes this task worker 2, .* known tasks: worker 0, worker 1'),
    (content({'worker': [A, B]}, 'chief'), 'makes this task chief 0, '),
    (content({'worker': [A, B], 'ps': [C]}), "has a job 'ps'; "),
    (content({'chief': [A, B]}, 'chief'), 'has 2 chiefs'),
    (content({'worker': [A, B, A]}), 'has a:1 more than once'),
    (content({'worker': A}), 'has "a:1" for worker; expected a list'),
    (content({'worker': [A, 'b']}), r'has \["a:1", "b"\] for worker; expected a list'),
    *((content({'worker': [A, address]}), r'has \["a:1", ".*"\] for worker; ')
      for address in ('b:66000', 'b:0', ':1', 'http://b:2', 'b 2:1', 'b:1,c:1', '::1:2222')),
    (content({'worker': [A, B]}, index=-1), 'makes this task worker -1, '),
    (content({'worker': [A, B]}, index=True), 'has the task index true; expected'),
    (content({'worker': [A, B], 'evaluator': [C]}, 'evaluator'), 'makes this task an evaluator; all tasks train here'),
])
def test_an_invalid_tf_config_gets_a_sentence(value, sentence, parse):
    with pytest.raises(UserError, match=f'^TF_CONFIG {sentence}.*Expected e.g. '):
        parse(value)


def test_one_worker_trains_as_without_tf_config(faces, fit, monkeypatch):
    without = fit('without', config(faces, max_steps=2))
    monkeypatch.setenv('TF_CONFIG', content({'worker': [A]}))
    assert_same_run(fit('with', config(faces, max_steps=2)), without)


def test_a_port_that_is_taken_gets_a_sentence(parse):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        here = f'127.0.0.1:{taken.getsockname()[1]}'
        with (pytest.raises(UserError, match=f'cannot listen on the address of this worker, worker 0 .{here}.: '),
              Cluster(parse(tf_config([here, A], 0))).connected()):
            pass


def test_a_worker_that_does_not_join_is_named(parse):
    here, other = free_addresses(2)
    with (pytest.raises(UserError, match=f'worker 0 .{here}. waited 0 seconds for worker 1 .{other}.'),
          Cluster(parse(tf_config([here, other], 0)), join_timeout=0.5).connected()):
        pass


def test_a_server_of_another_cluster_is_recognized(parse):
    """One port of two was changed for another run, and the first run is still there."""
    first, shared, second = free_addresses(3)
    other = launch([sys.executable, '-c', textwrap.dedent(LATE)], [first, shared], 1)
    await_server(shared, other)
    with (pytest.raises(UserError, match=f'waited 4 seconds for worker 1 .{shared}.; worker 1 .* answers, but '
                                         f'belongs to another cluster: {first}, {shared}; start'),
          Cluster(parse(tf_config([second, shared], 0)), join_timeout=4.0).connected()):
        pass
    other.kill()
    other.communicate()


def test_a_broadcast_does_not_decide_where_variables_are_placed():
    """On a GPU, the chief's weights would otherwise be on its CPU."""
    for index in range(2):
        with tf.Graph().as_default() as graph:
            Cluster(ClusterSpec(['a', 'b'], [A, B], index)).broadcast([tf.get_variable('weights', [3])])
            assert not [op.name for op in graph.get_operations()
                        if op.device and op.type in ('VarHandleOp', 'ReadVariableOp')]


@pytest.fixture(scope='module')
def undisturbed(faces, tmp_path_factory):
    """A folder with the run of three workers, ``run``, and the cache of all."""
    folder = tmp_path_factory.mktemp('three')
    flags = [[f'--model_dir={folder / "run"}'], *[[f'--model_dir={folder / "nothing"}']] * 2]
    first, *others = end(start(flags, dataset_dir=faces, cache_dir=folder / 'cache', epochs=20, save_steps=1,
                               log_steps=1))
    assert first[0] == 0, first[1]
    assert re.search(r'^steps +20, 1 an epoch, 4 images each on each of 3 workers$', first[1], re.MULTILINE)
    assert 'g_loss' in first[1]
    for number, (status, said) in enumerate(others, start=1):
        assert status == 0, said
        assert re.search(rf'^worker {number} .* trains on 14 images of faces', said, re.MULTILINE)
        assert 'g_loss' not in said
    assert not (folder / 'nothing').exists()
    assert json.loads((folder / 'run' / 'config.json').read_bytes())['workers'] == 3
    return folder


def test_gradients_and_moving_averages_are_means_over_slices(undisturbed):
    """After one step, Adam's first moment is (1 - beta1) times the gradient."""
    before, after = (variables(undisturbed / 'run', step) for step in (0, 1))
    (pack,) = (undisturbed / 'cache').glob('*.npy')
    images = np.load(pack)[batch_indices(0, 14, 12, 0)].astype(np.float32) / 127.5 - 1
    gradients, moving = zip(*(computed_alone(before, images[4 * worker:4 * worker + 4], worker) for worker in range(3)),
                            strict=True)
    assert gradients[0].keys() == {name.removesuffix('/Adam') for name in after if name.endswith('/Adam')}
    for name in gradients[0]:
        each = [gradient[name] for gradient in gradients]
        np.testing.assert_allclose(after[f'{name}/Adam'], 0.5 * np.mean(each, axis=0), rtol=1e-4, atol=1e-6,
                                   err_msg=name)
        assert not np.allclose(each[0], each[2], rtol=1e-3, atol=1e-5) or 'bias' in name
    for name in moving[0]:
        np.testing.assert_allclose(after[name], np.mean([averages[name] for averages in moving], axis=0), rtol=1e-5,
                                   err_msg=name)


def computed_alone(values, images, worker):
    """Returns what a worker alone computes in its first step: gradients, and moving averages after it, by name."""
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.get_or_create_global_step()
        z = tf.random.stateless_uniform([12, SMALL['z_dim']], [0, step], minval=-1.0, maxval=1.0)
        dcgan = DCGAN(4, 1, SMALL['z_dim'], SMALL['g_depths'], SMALL['d_depths'], z[4 * worker:4 * worker + 4])
        losses = dcgan.loss(tf.constant(images))
        names = {variable.op.name: variable for variable in tf.global_variables()}
        gradients = {variable.op.name: gradient for network in (dcgan.g, dcgan.d) for variable, gradient in
                     zip(network.variables, tf.gradients(losses[network], network.variables), strict=True)}
        for name, variable in names.items():
            variable.load(values[name], session)
        found, _ = session.run([gradients, tf.get_collection(tf.GraphKeys.UPDATE_OPS)])
        return found, session.run({name: names[name] for name in names if '/moving_' in name})


def test_latents_of_all_workers_are_those_of_one():
    def latents(batch_size, cluster):
        with tf.Graph().as_default(), tf.Session() as session:
            graph = build_graph(config('', batch_size=batch_size), np.zeros([8, 16, 16, 3], np.uint8), cluster)
            session.run(tf.train.get_global_step().initializer)
            return session.run(graph.dcgan.z)

    slices = [latents(4, Cluster(ClusterSpec(['a', 'b'], [A, B], rank))) for rank in range(2)]
    np.testing.assert_array_equal(latents(8, SingleWorker()), np.concatenate(slices))


def test_a_run_that_was_stopped_and_killed_is_the_run_that_was_not(faces, tmp_path):
    """SIGTERM to the second worker saves and ends both; after kill -9 of it the first one names it."""
    folder, often = tmp_path / 'run', {'batch_size': 2, 'save_steps': 1, 'log_steps': 1}
    flags = [[f'--model_dir={folder}'], []]
    forever = {'dataset_dir': faces, 'cache_dir': tmp_path / 'cache', 'epochs': 10**6, **often}

    processes = start(flags, **forever)
    wait_for_step(1, folder, processes)
    processes[1].send_signal(signal.SIGTERM)
    for status, said in end(processes):
        assert status == 143, said
        assert said.endswith('stopped; run the same command again to resume\n')
    stopped = max(saved_steps(folder))
    assert log(folder)[-1]['step'] == stopped

    processes = start(flags, **forever)
    wait_for_step(stopped + 1, folder, processes)
    processes[1].kill()
    (status, said), _ = end(processes)
    assert status == 1, said
    assert re.search(r'\ntrain.py: worker 1 \(127\.0\.0\.1:\d+\) does not answer: it has ended or hangs', said)
    assert said.count('train.py') == 1, said

    limited = {**forever, 'max_steps': max(saved_steps(folder)) + 6}
    undisturbed = tmp_path / 'undisturbed'
    for path in folder, undisturbed:
        for status, said in end(start([[f'--model_dir={path}'], []], **limited)):
            assert status == 0, said
    assert_same_run(folder, undisturbed, stopped_at=[stopped])


LATE = """
    import threading
    import dcgan.distributed.collectives

    with dcgan.distributed.collectives.make_cluster().connected():
        threading.Event().wait()
"""


def test_a_signal_ends_a_worker_that_waits_for_others_to_join(faces, tmp_path):
    addresses = free_addresses(2)
    process = launch(command(dataset_dir=faces, cache_dir=tmp_path, model_dir=tmp_path / 'run'), addresses, 0)
    await_server(addresses[0], process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    assert said.endswith('stopped before the first step; run the same command again\n')


def test_a_signal_ends_a_worker_that_waits_for_others_to_start(faces, tmp_path):
    """The other one could still be packing."""
    addresses = free_addresses(2)
    first = launch(command(dataset_dir=faces, cache_dir=tmp_path / 'cache', model_dir=tmp_path / 'run'), addresses, 0)
    late = launch([sys.executable, '-c', textwrap.dedent(LATE)], addresses, 1)
    while not list(tmp_path.glob('cache/*.json')):
        assert first.poll() is late.poll() is None
    first.send_signal(signal.SIGTERM)
    said = first.communicate(timeout=60)[0]
    late.kill()
    late.communicate()
    assert first.returncode == 143, said
    assert 'stopped before the first step' in said


def test_workers_meet_in_spite_of_a_proxy(faces, tmp_path):
    proxies = dict.fromkeys(('http_proxy', 'https_proxy', 'grpc_proxy'), 'http://127.0.0.1:9')
    addresses = free_addresses(2)
    words = command(dataset_dir=faces, cache_dir=tmp_path / 'cache', model_dir=tmp_path / 'run', max_steps=2)
    for status, said in end([launch(words, addresses, index, **proxies) for index in range(2)]):
        assert status == 0, said
    assert 2 in saved_steps(tmp_path / 'run')


def test_the_time_to_wait_for_others_is_a_flag(faces, tmp_path):
    here, other = free_addresses(2)
    [(status, said)] = end([launch(command('--join_timeout=1', dataset_dir=faces, cache_dir=tmp_path,
                                           model_dir=tmp_path / 'run'), [here, other], 0)])
    assert status == 1
    assert re.search(r'worker 0 \(.*\) waits for worker 1 \(.*\)', said)
    assert re.search(r'waited 1 seconds for worker 1 \(.*\); start the same command on all', said)


def test_workers_with_different_flags_are_refused(faces, tmp_path):
    for status, said in end(start([[f'--model_dir={tmp_path / "run"}'], ['--seed=1', '--learning_rate=0.1']],
                                  dataset_dir=faces, cache_dir=tmp_path)):
        assert status == 1
        assert re.search(r'the workers have different settings or images:\n'
                         r'  learning_rate: 0.0002 on worker 0 .*, 0.1 on worker 1 .*\n'
                         r'  seed: 0 on worker 0 .*, 1 on worker 1 .*\n'
                         r'start the same command on all', said), said


def test_too_few_images_for_all_workers_are_refused(faces, tmp_path):
    (status, said), _ = end(start([[], []], dataset_dir=faces, cache_dir=tmp_path, batch_size=8,
                                  model_dir=tmp_path / 'run'))
    assert status == 1
    assert 'faces holds 14 images, fewer than a batch of 16 on 2 workers; use --batch_size=7 or less' in said


MEDDLER = """
    import dcgan.training.hooks
    import tensorflow.compat.v1 as tf
    import train

    after_run = dcgan.training.hooks.SharedStopHook.after_run

    def meddle(self, run_context, run_values):
        after_run(self, run_context, run_values)
        variable = tf.trainable_variables()[1]
        variable.load(run_context.session.run(variable) + 1e-6, run_context.session)

    dcgan.training.hooks.SharedStopHook.after_run = meddle
    train.cli.run(train.main, '')
"""


def test_workers_whose_weights_differ_end(faces, tmp_path):
    addresses = free_addresses(2)
    words = command(dataset_dir=faces, cache_dir=tmp_path, model_dir=tmp_path / 'run', save_steps=1)
    processes = [launch([sys.executable, *program, *words[2:]], addresses, index)
                 for index, program in enumerate([[words[1]], ['-c', textwrap.dedent(MEDDLER)]])]
    for status, said in end(processes):
        assert status == 1
        assert re.search(r'at step 1, worker 1 \(.*\) and worker 0 \(.*\) hold different weights: 1 of \d+ variables '
                         r'differ, first g/reshape/dense/bias; this state is not saved', said), said
    assert saved_steps(tmp_path / 'run') == [0]


def test_a_run_resumes_with_another_number_of_workers(undisturbed, tmp_path, faces, fit, capsys):
    """The weights stay; batches, and so epochs, change their size."""
    shutil.copytree(undisturbed / 'run', tmp_path / 'run')
    fit('run', config(faces, epochs=10, save_steps=1))
    said = capsys.readouterr().out
    assert 'last run with 3 workers, now with 1: resuming at the same step; from here on, batches have another' in said
    assert 'resuming from step 20' in said
    assert log(tmp_path / 'run')[-1]['step'] == 30
