"""Runs of a small model, by the real command or by its function; what they left, read back; two of them compared."""

import contextlib
import json
import sys
from pathlib import Path

import tensorflow.compat.v1 as tf

from dcgan.runs.settings import Config
from tests.commands import Running, run_script

SCRIPT = Path(__file__).parents[1] / 'train.py'
SMALL = {'image_size': 16, 'batch_size': 4, 'z_dim': 5, 'g_depths': [8, 8, 4, 4], 'd_depths': [4, 4, 8, 8]}
RATE = 'images_per_second'  # what alone may differ between two runs that are the same


def flags_of(*flags, **more):
    """The flags of a small model, and more; lists become comma-separated."""
    values = {name: ','.join(map(str, value)) if isinstance(value, list) else value
              for name, value in {**SMALL, **more}.items()}
    return [*(f'--{name}={value}' for name, value in values.items()), *flags]


def command(*flags, **more):
    """The real command line for a small model."""
    return [sys.executable, SCRIPT, *flags_of(*flags, **more)]


def run_command(*flags, prepare=None, **more):
    return run_script('train.py', *flags_of(*flags, **more), prepare=prepare)


def start_command(*flags, prepare=None, environment=(), **more):
    return Running('train.py', *flags_of(*flags, **more), prepare=prepare, environment=environment)


def config(dataset_dir, **changes):
    return Config(**{
        'dataset_dir': dataset_dir, 'crop': 'auto', 'epochs': 2, 'max_steps': None, 'learning_rate': 0.0002,
        'beta1': 0.5, 'seed': 0, 'precision': 'float32', 'deterministic': False, 'sample_steps': None,
        'save_steps': 100, 'log_steps': 1, **SMALL, **changes})


def variables(model_dir, step=None):
    """Returns all that a checkpoint holds, {name: array}; that of a step, or the latest."""
    path = tf.train.latest_checkpoint(str(model_dir)) if step is None else str(model_dir / f'model.ckpt-{step}')
    checkpoint = tf.train.load_checkpoint(path)
    return {name: checkpoint.get_tensor(name) for name in checkpoint.get_variable_to_shape_map()}


def assert_same_bits(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].tobytes() == theirs[name].tobytes(), name


def contents(model_dir):
    """Returns the files of a run directory, but for its lock."""
    return {path: path.read_bytes() for path in model_dir.rglob('*') if path.is_file() and 'lock' not in path.name}


def saved_steps(model_dir):
    return sorted(int(path.stem.removeprefix('model.ckpt-')) for path in model_dir.glob('model.ckpt-*.index'))


def log(model_dir, without=()):
    entries = [json.loads(line) for line in (model_dir / 'log.jsonl').read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name not in without} for entry in entries]


def events(model_dir):
    """Returns what TensorBoard shows, {tag: [(step, number or PNG), ...]}, and the number of graphs."""
    found, graphs = {}, 0
    for path in sorted(model_dir.glob('events.*')):
        for event in _intact_events(path):
            graphs += bool(event.graph_def)
            if event.session_log.status == tf.SessionLog.START:
                found = {tag: [told for told in steps if told[0] < event.step] for tag, steps in found.items()}
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(
                    (event.step, value.image.encoded_image_string or value.simple_value))
    return found, graphs


def _intact_events(path):
    with contextlib.suppress(tf.errors.DataLossError):  # a killed run leaves half of one
        yield from tf.train.summary_iterator(str(path))


def grids(model_dir):
    """Returns the grids of a run, {step: PNG}, of its folder of samples."""
    return {int(path.stem.removeprefix('step-')): path.read_bytes() for path in (model_dir / 'samples').iterdir()}


def assert_same_run(ours, theirs, stopped_at=()):
    """Weights, optimisers, log, events, grids and what is kept are the same to the bit, the rate excepted.

    Ours may have a grid more at each step of ``stopped_at``, and no others.
    """
    assert saved_steps(ours) == saved_steps(theirs)
    for step in saved_steps(ours):
        assert_same_bits(variables(ours, step), variables(theirs, step))
    assert log(ours, without=[RATE]) == log(theirs, without=[RATE])
    (our_events, our_graphs), (their_events, their_graphs) = events(ours), events(theirs)
    assert our_graphs == their_graphs == 1
    assert [step for step, _ in our_events.pop(RATE, [])] == [step for step, _ in their_events.pop(RATE, [])]
    our_grids, their_grids = grids(ours), grids(theirs)
    assert their_events.pop('samples') == sorted(their_grids.items())
    told = our_events.pop('samples')
    assert told == sorted(dict(told).items())  # each once
    assert their_grids.items() <= dict(told).items() <= our_grids.items()
    assert our_events == their_events
    assert our_grids.keys() - their_grids.keys() <= set(stopped_at)
    files = [{path.name for path in folder.iterdir() if not path.name.startswith('events.')}
             for folder in (ours, theirs)]
    assert files[0] == files[1]
