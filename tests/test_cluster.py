"""Several workers: what TF_CONFIG may say; one model, its gradients averaged; what may happen to a worker."""

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

from data.stream import batch_indices
from model import DCGAN
from runtime import cluster
from runtime.errors import RunError
from runtime.tf_config import Place, place_of
from tests.runs import SMALL, assert_same_run, command, config, log, saved_steps, variables
from tests.workers import await_server, end, free_addresses, launch, start, tf_config

A, B, C = 'a:1', 'b:2', 'c:3'


def content(cluster, kind='worker', index=0, **more):
    return json.dumps({'cluster': cluster, 'task': {'type': kind, 'index': index}, **more})


@pytest.mark.parametrize('value', [None, '', content({'worker': [A]}), content({'chief': [A]}, 'chief'),
                                   content({'chief': [A], 'worker': [], 'ps': []}, 'chief', environment='cloud')])
def test_one_worker_is_alone(value):
    assert place_of(value) is None


def test_places_are_counted_from_the_chief_on():
    assert place_of(content({'worker': [A, B]}, index=1)) == Place(
        ['worker 0 (a:1)', 'worker 1 (b:2)'], [A, B], 1)
    assert place_of(content({'worker': [B, C], 'chief': [A], 'evaluator': ['d:4']}, index='1')) == Place(
        ['chief 0 (a:1)', 'worker 0 (b:2)', 'worker 1 (c:3)'], [A, B, C], 2)


@pytest.mark.parametrize(('value', 'sentence'), [
    ('worker', 'is not JSON: Expecting value'),
    ('[]', 'has no object "cluster"'),
    ('{"cluster": {}}', 'has no object "task"'),
    (content({}), 'this is worker 0, of which its cluster has no address; it has: none'),
    (content({'worker': [A, B]}, index=2), 'this is worker 2, .* it has: worker 0, worker 1'),
    (content({'worker': [A, B]}, 'chief'), 'this is chief 0, '),
    (content({'worker': [A, B], 'ps': [C]}), 'names the job ps; '),
    (content({'chief': [A, B]}, 'chief'), 'names 2 chiefs'),
    (content({'worker': [A, B, A]}), 'names a:1 more than once'),
    (content({'worker': A}), 'gives worker "a:1"; a list'),
    (content({'worker': [A, 'b']}), r'gives worker \["a:1", "b"\]; a list'),
    *((content({'worker': [A, address]}), 'gives worker')
      for address in ('b:66000', 'b:0', ':1', 'http://b:2', 'b 2:1', 'b:1,c:1', '::1:2222')),
    (content({'worker': [A, B]}, index=-1), 'this is worker -1, '),
    (content({'worker': [A, B]}, index=True), 'this is worker true, '),
    (content({'worker': [A, B], 'evaluator': [C]}, 'evaluator'), 'this is an evaluator, and all train here'),
])
def test_what_tf_config_cannot_be(value, sentence):
    with pytest.raises(RunError, match=f'^TF_CONFIG (says that )?{sentence}.*What is expected is like'):
        place_of(value)


def test_one_worker_trains_as_without_tf_config(faces, fit, monkeypatch):
    without = fit('without', config(faces, max_steps=2))
    monkeypatch.setenv('TF_CONFIG', content({'worker': [A]}))
    assert_same_run(fit('with', config(faces, max_steps=2)), without)


def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        here = f'127.0.0.1:{taken.getsockname()[1]}'
        with (pytest.raises(RunError, match=f'address of this worker, worker 0 .{here}., cannot be listened at: '),
              cluster.Cluster(place_of(tf_config([here, A], 0))).joined()):
            pass


def test_a_worker_that_does_not_come(monkeypatch):
    monkeypatch.setattr(cluster, 'COMING', 0.5)
    here, other = free_addresses(2)
    with (pytest.raises(RunError, match=f'worker 0 .{here}. waited for worker 1 .{other}. in vain'),
          cluster.Cluster(place_of(tf_config([here, other], 0))).joined()):
        pass


def test_a_server_of_other_workers(monkeypatch):
    """One port of two was changed for another run, and the first run is still there."""
    monkeypatch.setattr(cluster, 'COMING', 4.0)
    first, shared, second = free_addresses(3)
    other = launch([sys.executable, '-c', textwrap.dedent(LATE)], [first, shared], 1)
    await_server(shared, other)
    with (pytest.raises(RunError, match=f'waited for worker 1 .{shared}. in vain, 4 seconds; worker 1 .* answers, but '
                                        f'is one of other workers: {first}, {shared}; start'),
          cluster.Cluster(place_of(tf_config([second, shared], 0))).joined()):
        pass
    other.kill()
    other.communicate()


def test_variables_are_not_placed_by_how_they_are_taken_from_the_first():
    """On a GPU, the weights of the first worker would lie on its processor."""
    for index in range(2):
        with tf.Graph().as_default() as graph:
            cluster.Cluster(Place(['a', 'b'], [A, B], index)).take_from_first([tf.get_variable('weights', [3])])
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
        dcgan = DCGAN(4, 4, SMALL['z_dim'], SMALL['g_depths'], SMALL['d_depths'], seed=0, worker=worker, workers=3)
        losses = dcgan.loss(tf.constant(images))
        names = {variable.op.name: variable for variable in tf.global_variables()}
        gradients = {variable.op.name: gradient for network in (dcgan.g, dcgan.d) for variable, gradient in
                     zip(network.variables, tf.gradients(losses[network], network.variables), strict=True)}
        for name, variable in names.items():
            variable.load(values[name], session)
        found, _ = session.run([gradients, tf.get_collection(tf.GraphKeys.UPDATE_OPS)])
        return found, session.run({name: names[name] for name in names if '/moving_' in name})


def test_latents_of_all_workers_are_those_of_one():
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.get_or_create_global_step()
        whole, *slices = [DCGAN(n, z_dim=5, worker=worker, workers=workers).z
                          for n, worker, workers in ((8, 0, 1), (4, 0, 2), (4, 1, 2))]
        session.run(step.initializer)
        whole, *slices = session.run([whole, *slices])
    np.testing.assert_array_equal(whole, np.concatenate(slices))


def test_stopped_killed_and_gone_on_with_it_is_the_same_run(faces, tmp_path):
    """SIGTERM to the second worker saves and ends both; after kill -9 of it the first one says who is gone."""
    folder, often = tmp_path / 'run', {'batch_size': 2, 'save_steps': 1, 'log_steps': 1}
    flags = [[f'--model_dir={folder}'], []]
    forever = {'dataset_dir': faces, 'cache_dir': tmp_path / 'cache', 'epochs': 10**6, **often}

    processes = start(flags, **forever)
    wait_for_step(1, folder, processes)
    processes[1].send_signal(signal.SIGTERM)
    for status, said in end(processes):
        assert status == 143, said
        assert said.endswith('stopped as asked; the same command goes on from there\n')
    stopped = max(saved_steps(folder))
    assert log(folder)[-1]['step'] == stopped

    processes = start(flags, **forever)
    wait_for_step(stopped + 1, folder, processes)
    processes[1].kill()
    (status, said), _ = end(processes)
    assert status == 1, said
    assert re.search(r'\ntrain.py: worker 1 \(127\.0\.0\.1:\d+\) is gone or hangs', said)
    assert said.count('train.py') == 1, said

    limited = {**forever, 'max_steps': max(saved_steps(folder)) + 6}
    undisturbed = tmp_path / 'undisturbed'
    for path in folder, undisturbed:
        for status, said in end(start([[f'--model_dir={path}'], []], **limited)):
            assert status == 0, said
    assert_same_run(folder, undisturbed)


def wait_for_step(step, folder, processes):
    while not (folder / 'log.jsonl').exists() or max((entry['step'] for entry in log(folder)), default=0) < step:
        assert all(process.poll() is None for process in processes)


LATE = """
    import threading
    import runtime.cluster

    with runtime.cluster.workers().joined():
        threading.Event().wait()
"""


def test_a_signal_before_the_others_have_come(faces, tmp_path):
    addresses = free_addresses(2)
    process = launch(command(dataset_dir=faces, cache_dir=tmp_path, model_dir=tmp_path / 'run'), addresses, 0)
    await_server(addresses[0], process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 0, said
    assert said.endswith('stopped; nothing was to be saved, and the same command goes on from here\n')


def test_a_signal_while_others_are_waited_for(faces, tmp_path):
    """One that is still packing, as it were."""
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
    assert 'stopped; nothing was to be saved' in said


def test_workers_with_other_flags(faces, tmp_path):
    for status, said in end(start([[f'--model_dir={tmp_path / "run"}'], ['--seed=1', '--learning_rate=0.1']],
                                  dataset_dir=faces, cache_dir=tmp_path)):
        assert status == 1
        assert re.search(r'started with different settings or images:\n'
                         r'  learning_rate: 0.0002 on worker 0 .*, 0.1 on worker 1 .*\n'
                         r'  seed: 0 on worker 0 .*, 1 on worker 1 .*\n'
                         r'start the same command on all', said), said


def test_too_few_images_for_all(faces, tmp_path):
    (status, said), _ = end(start([[], []], dataset_dir=faces, cache_dir=tmp_path, batch_size=8,
                                  model_dir=tmp_path / 'run'))
    assert status == 1
    assert 'faces holds 14 images, fewer than a batch of 16 on 2 workers; --batch_size=7 or less would do' in said


MEDDLER = """
    import tensorflow.compat.v1 as tf
    from absl import app
    import runtime.hooks
    import train

    after_run = runtime.hooks.SharedStopHook.after_run

    def meddle(self, run_context, run_values):
        after_run(self, run_context, run_values)
        variable = tf.trainable_variables()[1]
        variable.load(run_context.session.run(variable) + 1e-6, run_context.session)

    runtime.hooks.SharedStopHook.after_run = meddle
    app.run(train.main)
"""


def test_workers_that_differ(faces, tmp_path):
    addresses = free_addresses(2)
    words = command(dataset_dir=faces, cache_dir=tmp_path, model_dir=tmp_path / 'run', save_steps=1)
    processes = [launch([sys.executable, *program, *words[2:]], addresses, index)
                 for index, program in enumerate([[words[1]], ['-c', textwrap.dedent(MEDDLER)]])]
    for status, said in end(processes):
        assert status == 1
        assert re.search(r'at step 1, worker 1 \(.*\) holds other weights than worker 0 \(.*\): 1 of \d+ variables '
                         r'differ, g/reshape/dense/bias first; nothing of that is saved', said), said
    assert saved_steps(tmp_path / 'run') == [0]


def test_a_run_goes_on_with_other_workers(undisturbed, tmp_path, faces, fit, capsys):
    """The weights are where they were; batches, and so epochs, are of another size."""
    shutil.copytree(undisturbed / 'run', tmp_path / 'run')
    fit('run', config(faces, epochs=10, save_steps=1))
    said = capsys.readouterr().out
    assert 'last run with 3 workers, now with 1: it goes on from the same step with batches of another size' in said
    assert 'going on from step 20' in said
    assert log(tmp_path / 'run')[-1]['step'] == 30
