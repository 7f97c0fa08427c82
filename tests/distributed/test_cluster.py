"""Several workers: TF_CONFIG, one model with averaged gradients, and workers that die, hang or differ."""

import json
import re
import shutil
import signal
import socket
import threading

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import dcgan.training.hooks
from data.order import batch_indices
from dcgan.distributed.collectives import Cluster, SingleWorker, make_cluster
from dcgan.distributed.tf_config import ClusterSpec, read_tf_config
from dcgan.errors import UserError
from model import DCGAN
from tests.commands import wait_until
from tests.small_runs import SMALL, config, log, saved_steps, variables
from tests.workers import end, free_addresses, listens, start_worker, start_workers, tf_config

A, B, C = 'a:1', 'b:2', 'c:3'


def content(cluster, kind='worker', index=0, **more):
    return json.dumps({'cluster': cluster, 'task': {'type': kind, 'index': index}, **more})


@pytest.fixture
def parse(monkeypatch):
    """Reads a value of TF_CONFIG."""
    def parse(value):
        monkeypatch.setenv('TF_CONFIG', value)
        return read_tf_config()
    return parse


@pytest.mark.parametrize('value', ['', content({'worker': [A]}), content({'chief': [A]}, 'chief'),
                                   content({'chief': [A], 'worker': [], 'ps': []}, 'chief', environment='cloud')])
def test_one_worker_is_no_cluster(value, monkeypatch):
    monkeypatch.setenv('TF_CONFIG', value)
    assert isinstance(make_cluster(), SingleWorker)


def test_ranks_are_counted_from_the_chief(parse):
    assert parse(content({'worker': [A, B]}, index=1)) == ClusterSpec(['worker 0 (a:1)', 'worker 1 (b:2)'], [A, B], 1)
    assert parse(content({'worker': [B, C], 'chief': [A], 'evaluator': ['d:4']}, index='1')) == ClusterSpec(
        ['chief 0 (a:1)', 'worker 0 (b:2)', 'worker 1 (c:3)'], [A, B, C], 2)


@pytest.mark.parametrize(('value', 'sentence'), [
    ('worker', 'is not JSON: Expecting value'),
    ('[]', 'has no object "cluster"'),
    ('{"cluster": {}}', 'has no object "task"'),
    (content({}), 'makes this task worker 0, which is none of those that train: none'),
    (content({'worker': [A, B]}, index=2), 'makes this task worker 2, .*: worker 0, worker 1'),
    (content({'worker': [A, B]}, 'chief'), 'makes this task chief 0, '),
    (content({'worker': [A, B, A]}), 'has a:1 more than once'),
    (content({'worker': A}), 'has "a:1" for worker; expected a list'),
    (content({'worker': [A, 'b']}), r'has \["a:1", "b"\] for worker; expected a list'),
    *((content({'worker': [A, address]}), r'has \["a:1", ".*"\] for worker; ')
      for address in ('b:66000', 'b:0', ':1', 'http://b:2', 'b 2:1', 'b:1,c:1', '::1:2222')),
    (content({'worker': [A, B]}, index=-1), 'has the task index -1; expected'),
    (content({'worker': [A, B]}, index=True), 'has the task index true; expected'),
    (content({'worker': [A, B], 'evaluator': [C]}, 'evaluator'), 'makes this task evaluator 0, which is none of those'),
])
def test_an_invalid_tf_config_gets_a_sentence(value, sentence, parse):
    with pytest.raises(UserError, match=f'^TF_CONFIG {sentence}.*Expected e.g. '):
        parse(value)


def test_a_port_that_is_taken_gets_a_sentence(parse):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        here = f'127.0.0.1:{taken.getsockname()[1]}'
        with (pytest.raises(UserError, match=f'cannot listen on the address of this worker, worker 0 .{here}.: '),
              Cluster(parse(tf_config([here, A], 0))).connected()):
            pass


def join_and_wait():
    """Is a worker that never trains."""
    with make_cluster().connected():
        threading.Event().wait()


def test_a_server_of_another_cluster_is_recognized(parse):
    """One port of two was changed for another run, and the first run is still there."""
    first, shared, second = free_addresses(3)
    other = start_worker([first, shared], 1, prepare=join_and_wait)
    wait_until(lambda: listens(shared))
    with (pytest.raises(UserError, match=f'waited 4 seconds for worker 1 .{shared}.; worker 1 .* answers, but '
                                         'belongs to an earlier start or to another cluster; start'),
          Cluster(parse(tf_config([second, shared], 0)), join_timeout=4.0).connected()):
        pass
    other.kill()


@pytest.fixture(scope='module')
def undisturbed(faces, tmp_path_factory):
    """A folder with the run of three workers, ``run``, and the cache of all. A proxy must not keep them apart."""
    folder = tmp_path_factory.mktemp('three')
    flags = [[f'--model_dir={folder / "run"}'], *[[f'--model_dir={folder / "nothing"}']] * 2]
    with pytest.MonkeyPatch.context() as patch:
        for name in 'http_proxy', 'https_proxy', 'grpc_proxy':
            patch.setenv(name, 'http://127.0.0.1:9')
        processes = start_workers(flags, dataset_dir=faces, cache_dir=folder / 'cache', epochs=4, save_steps=1,
                                  log_steps=1)
    first, *others = end(processes)
    assert first.returncode == 0, first.stderr
    assert re.search(r'^steps +4, 1 an epoch, 4 images each on each of 3 workers$', first.stdout, re.MULTILINE)
    assert 'g_loss' in first.stderr
    for number, done in enumerate(others, start=1):
        assert done.returncode == 0, done.stderr
        assert re.search(rf'^worker {number} .* trains on 14 images of faces', done.stdout, re.MULTILINE)
        assert 'g_loss' not in done.stderr
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


def test_a_signal_ends_a_worker_that_waits_for_others_to_join(faces, tmp_path):
    addresses = free_addresses(2)
    process = start_worker(addresses, 0, dataset_dir=faces, cache_dir=tmp_path, model_dir=tmp_path / 'run')
    process.wait_for('waits for worker 1')
    process.send_signal(signal.SIGINT)
    done = process.end()
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('stopped before the first step; run the same command again\n')


def test_a_worker_that_does_not_join_within_the_time_of_a_flag_is_named(faces, tmp_path):
    done = start_worker(free_addresses(2), 0, dataset_dir=faces, cache_dir=tmp_path, model_dir=tmp_path / 'run',
                        join_timeout=1).end()
    assert done.returncode == 1
    assert re.search(r'worker 0 \(.*\) waits for worker 1 \(.*\)', done.stdout)
    assert re.search(r'waited 1 second for worker 1 \(.*\); start the same command on all', done.stderr)


def test_workers_with_different_flags_are_refused(faces, tmp_path):
    for done in end(start_workers([[f'--model_dir={tmp_path / "run"}'], ['--seed=1', '--learning_rate=0.1']],
                                  dataset_dir=faces, cache_dir=tmp_path)):
        assert done.returncode == 1
        assert re.search(r'the workers have different settings or images:\n'
                         r'  learning_rate: 0.0002 on worker 0 .*, 0.1 on worker 1 .*\n'
                         r'  seed: 0 on worker 0 .*, 1 on worker 1 .*\n'
                         r'start the same command on all', done.stderr), done.stderr


def test_too_few_images_for_all_workers_are_refused(faces, tmp_path):
    done, _ = end(start_workers([[], []], dataset_dir=faces, cache_dir=tmp_path, batch_size=8,
                                model_dir=tmp_path / 'run'))
    assert done.returncode == 1
    assert 'faces holds 14 images, fewer than a batch of 16 on 2 workers; use --batch_size=7 or less' in done.stderr


def meddle():
    """Changes a weight after each step."""
    after_run = dcgan.training.hooks.SharedStopHook.after_run

    def change(self, run_context, run_values):
        after_run(self, run_context, run_values)
        variable = run_context.session.graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES)[1]
        variable.load(run_context.session.run(variable) + 1e-6, run_context.session)

    dcgan.training.hooks.SharedStopHook.after_run = change


def test_workers_whose_weights_differ_end(faces, tmp_path):
    addresses, more = free_addresses(2), {'dataset_dir': faces, 'cache_dir': tmp_path, 'model_dir': tmp_path / 'run'}
    for done in end([start_worker(addresses, 0, save_steps=1, **more),
                     start_worker(addresses, 1, save_steps=1, prepare=meddle, **more)]):
        assert done.returncode == 1
        assert re.search(r'at step 1, worker 1 \(.*\) and worker 0 \(.*\) hold different weights: 1 of \d+ variables '
                         r'differ, first g/reshape/dense/bias; this state is not saved', done.stderr), done.stderr
    assert saved_steps(tmp_path / 'run') == [0]


def test_a_run_resumes_with_another_number_of_workers(undisturbed, tmp_path, faces, fit, capsys):
    """The weights stay; batches, and so epochs, change their size."""
    shutil.copytree(undisturbed / 'run', tmp_path / 'run')
    fit('run', config(faces))
    said = capsys.readouterr().out
    assert 'last run with 3 workers, now with 1: resuming at the same step; from here on, batches have another' in said
    assert 'resuming from step 4' in said
    assert log(tmp_path / 'run')[-1]['step'] == 6
