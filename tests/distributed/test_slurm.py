"""Slurm: the tasks of srun, in the environment that Slurm 22.05 gave them, train one model."""

import os
import re
import signal

import pytest

from dcgan.distributed.collectives import SingleWorker, make_cluster
from dcgan.distributed.slurm import read_slurm
from dcgan.errors import UserError
from tests.commands import TIMEOUT
from tests.small_runs import assert_same_run, log, saved_steps, start_command
from tests.workers import end, start_workers, wait_for_step


def job(ntasks, job_id=7, nodes='vm', tasks_per_node=None):
    """Returns what the shells of salloc and sbatch get, too."""
    return {'SLURM_JOB_ID': job_id, 'SLURM_JOBID': job_id, 'SLURM_JOB_NODELIST': nodes, 'SLURM_NODELIST': nodes,
            'SLURM_NTASKS': ntasks, 'SLURM_NPROCS': ntasks, 'SLURM_TASKS_PER_NODE': tasks_per_node or ntasks}


def batch_script(ntasks):
    return {**job(ntasks), 'SLURMD_NODENAME': 'vm', 'SLURM_PROCID': 0, 'SLURM_LOCALID': 0, 'SLURM_NODEID': 0}


def task(ntasks, procid, localid=None, node='vm', nodes='vm', tasks_per_node=None, job_id=7, step_id=0):
    return {**job(ntasks, job_id, nodes, tasks_per_node), 'SLURMD_NODENAME': node, 'SLURM_PROCID': procid,
            'SLURM_LOCALID': procid if localid is None else localid, 'SLURM_STEP_ID': step_id, 'SLURM_STEPID': step_id,
            'SLURM_STEP_NODELIST': nodes, 'SLURM_STEP_NUM_TASKS': ntasks,
            'SLURM_STEP_TASKS_PER_NODE': tasks_per_node or ntasks}


@pytest.fixture
def environment(monkeypatch):
    """Sets the variables of Slurm to the given ones, {name: value}, and removes all others."""
    def environment(variables):
        for name in [name for name in os.environ if name.startswith('SLURM') or name == 'TF_CONFIG']:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')  # is restored, too
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES')
    return environment


@pytest.fixture
def read(environment):
    """Returns the ClusterSpec of a task with these variables."""
    def read(variables):
        environment(variables)
        return read_slurm()
    return read


@pytest.mark.parametrize('variables', [
    {}, job(2), batch_script(2), task(1, 0), {**task(1, 0), **job(2)},
], ids=['no Slurm', 'salloc', 'sbatch', 'one task', 'interactive step'])
def test_outside_a_step_of_several_tasks_one_worker_trains(variables, environment):
    environment(variables)
    assert isinstance(make_cluster(), SingleWorker)


def test_tasks_of_a_node_have_ports_in_a_row(read):
    specs = [read(task(2, procid)) for procid in range(2)]
    assert [spec.rank for spec in specs] == [0, 1]
    assert specs[0][:2] == specs[1][:2] == (['worker 0 (vm:10448)', 'worker 1 (vm:10449)'], ['vm:10448', 'vm:10449'])


def test_several_nodes_have_tasks_as_slurm_counts_them(read):
    addresses = read(task(5, 3, 0, 'n3', 'n[1,3-4]', '2(x2),1')).addresses
    assert [address.split(':')[0] for address in addresses] == ['n1', 'n1', 'n3', 'n3', 'n4']
    assert read(task(5, 3, 1, 'n3', 'n[1,3-4]', '2(x2),1')).rank == 3


@pytest.mark.parametrize(('nodes', 'layout'), [
    ('n[1-2]', [('n1', 0), ('n2', 0), ('n1', 1), ('n2', 1)]),  # --distribution=cyclic
    ('n[9-10]', [('n9', 0), ('n9', 1), ('n10', 0), ('n10', 1)]),  # by name, n10 comes before n9
])
def test_each_task_finds_its_own_address(nodes, layout, read):
    specs = [read(task(4, procid, localid, node, nodes, '2(x2)')) for procid, (node, localid) in enumerate(layout)]
    assert sorted(spec.rank for spec in specs) == [0, 1, 2, 3]
    for spec, (node, localid) in zip(specs, layout, strict=True):
        assert spec.addresses[spec.rank] == f'{node}:{10448 + localid}'


@pytest.mark.parametrize(('given', 'left'), [('0,1', '1'), ('4,6', '6'), ('GPU-a,GPU-b', 'GPU-b'), ('3', '3'),
                                             ('', ''), (None, None)])
def test_a_task_keeps_one_gpu(given, left, read, monkeypatch):
    if given is not None:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', given)
    read(task(2, 1))
    assert os.environ.get('CUDA_VISIBLE_DEVICES') == left


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'SLURM_STEP_NUM_TASKS': None}, 'SLURM_STEP_NUM_TASKS not found'),
    ({'SLURM_STEP_NUM_TASKS': 3}, 'Requested 3 tasks but only 2 were assigned'),
    ({'SLURM_PROCID': None}, 'SLURM_PROCID not found'),
    ({'SLURM_PROCID': 2, 'SLURMD_NODENAME': 'other'}, 'task 2 is not one of 2'),
    ({'SLURM_STEP_NODELIST': 'n[1-'}, 'Invalid hostlist format "n.1-"'),
    ({'SLURM_STEP_NODELIST': ''}, ''),
    ({'SLURM_STEP_TASKS_PER_NODE': 'two'}, 'Invalid tasks-per-node list format "two"'),
    ({'SLURM_STEP_TASKS_PER_NODE': '1(x999999999)'}, 'it describes more than 10,000 tasks'),
    ({'SLURM_STEP_NODELIST': 'n[1-99999999]'}, 'it describes more than 10,000 tasks'),
    ({'SLURM_JOB_ID': 'x'}, "invalid literal .* 'x'"),
])
def test_an_invalid_environment_gets_a_sentence(changes, reason, read):
    variables = {**task(2, 0), **changes}
    with pytest.raises(UserError, match=f"^cannot read the workers from Slurm's environment: {reason}.*Expected that "):
        read({name: value for name, value in variables.items() if value is not None})


def test_tf_config_is_read_first(environment, monkeypatch):
    environment(task(2, 1))
    monkeypatch.setenv('TF_CONFIG', '{"cluster": {"worker": ["a:1", "b:2", "c:3"]}, '
                                    '"task": {"type": "worker", "index": 0}}')
    assert make_cluster().world_size == 3


def test_a_step_that_was_killed_and_stopped_is_the_run_of_workers_that_were_not(faces, tmp_path):
    """Slurm's tasks and the workers of TF_CONFIG train the same run, bit for bit; a requeued job has the same number.

    After kill -9 of the second one the first one names it; SIGTERM to it saves and ends both.
    """
    folder = tmp_path / 'run'
    forever = {'dataset_dir': faces, 'cache_dir': tmp_path / 'cache', 'epochs': 10**6, 'batch_size': 2, 'save_steps': 1,
               'log_steps': 1, 'join_timeout': TIMEOUT}

    def tasks():
        return [start_command(model_dir=folder, **forever, environment={
            name: str(value) for name, value in {**task(2, procid, node='localhost', nodes='localhost',
                                                        job_id=os.getpid()), 'TF_CONFIG': ''}.items()})
                for procid in range(2)]

    processes = tasks()
    wait_for_step(1, folder, processes[0])
    processes[1].kill()
    done = processes[0].end()
    assert done.returncode == 1, done.stderr
    assert re.search(r'\ntrain.py: worker 1 \(localhost:\d+\) does not answer: it has ended or hangs', done.stderr)
    assert done.stderr.count('train.py') == 1, done.stderr

    processes = tasks()
    wait_for_step(max(saved_steps(folder)) + 1, folder, processes[0])
    processes[1].send_signal(signal.SIGTERM)
    for done in end(processes):
        assert done.returncode == 143, done.stderr
        assert done.stdout.endswith('stopped; run the same command again to resume\n')
    last = max(saved_steps(folder))
    assert log(folder)[-1]['step'] == last

    undisturbed = tmp_path / 'undisturbed'
    for done in end(start_workers([[], []], model_dir=undisturbed, **forever, max_steps=last)):
        assert done.returncode == 0, done.stderr
    assert_same_run(folder, undisturbed)
