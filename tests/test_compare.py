"""The proof of the graph: it agrees here, and whatever differs from the reference is found and named."""

import functools
import json
import math
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import model
from comparison.proof import NUMBERS, PARTS, describe, prove, table, verdict
from comparison.reference import REFERENCE, read_reference
from runtime.errors import RunError

# Another learning rate, beta1 and momentum, by the real command.
CHANGED = '''
import functools, runtime.stop, compare, model
model.DCGAN.train = functools.partialmethod(model.DCGAN.train, learning_rate=0.001, beta1=0.9)
model.batch_normalization = functools.partial(model.batch_normalization, momentum=0.9)
compare.app.run(compare.main)
'''
FILES = ['graph.json', 'numbers.npz', 'start.ckpt.index', 'start.ckpt.data-00000-of-00001', 'end.ckpt.index',
         'end.ckpt.data-00000-of-00001']


@pytest.fixture
def reference(tmp_path):
    """A copy of the reference, to be changed."""
    return shutil.copytree(REFERENCE, tmp_path / 'reference')


def run_python(*arguments):
    """Runs the interpreter with oneDNN's kernels, as the scripts do."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False,
                          cwd=REFERENCE.parent, env={**os.environ, 'TF_ENABLE_ONEDNN_OPTS': '1'})


def failed(checks, part='small'):
    """Returns {name: what it found} of the checks of a graph that fail."""
    return {check.name: describe(check) for check in checks if not check.agrees and check.part == PARTS[part]}


def titles(*names):
    return {NUMBERS[name][0] for name in names}


def test_the_command_proves_the_graph():
    done = run_python('compare.py')
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, last = done.stdout.splitlines()
    for expected in ('18,872,323 parameters', '4,324,866 parameters', 'global_step is added', 'on the processor'):
        assert expected in done.stdout
    assert sum(' agrees ' in line for line in lines) == 7 + 7 + len(NUMBERS)
    assert sum('largest difference' in line for line in lines) == len(NUMBERS)
    assert last.startswith("the graph is the article's: 28 of 28 checks agree, TensorFlow ")


def test_the_command_fails_where_the_model_was_changed():
    done = run_python('-c', CHANGED)
    assert done.returncode == 1, done.stdout + done.stderr
    *lines, last = done.stdout.splitlines()
    differing = {name for name, _, _ in NUMBERS.values() if any(
        line.startswith(f'  {name} ') and ' DIFFERS ' in line for line in lines)}
    assert differing == titles('g_loss', 'd_loss', 'generated_after', 'weights', 'moments', 'powers', 'averages')
    assert last.startswith("THE GRAPH IS NOT THE ARTICLE'S: 7 of 28 checks fail, TensorFlow ")


def test_what_differs_in_the_graph_is_named(reference):
    path = reference / 'graph.json'
    graph = json.loads(path.read_text())
    full, small = graph['full'], graph['small']
    full['variables'][0][0] = full['g_variables'][0] = 'g/other'
    full['variables'][1][1] = [7]
    full['variables'][2][2] = False
    full['d_parameters'] -= 1
    full['collections']['d_losses'] = 3
    full['endpoints'][0] = ['g/reshape/outputs', 'Relu6', [[5, 4]]]
    small['variables'][:2] = small['variables'][1::-1]
    path.write_text(json.dumps(graph))
    checks = prove(reference)
    assert failed(checks, 'full') == {
        'variables': 'g/other: not here; g/reshape/dense/kernel: not there',
        'their shapes': 'g/reshape/dense/bias: [16384] here, [7] there',
        'which are trained': 'g/reshape/batch_normalization/gamma: True here, False there',
        'generator': 'g/other: not here; g/reshape/dense/kernel: not there',
        'discriminator': 'parameters: 4,324,866 here, 4,324,865 there',
        'collections': 'd_losses: 2 here, 3 there',
        'end points': 'g/reshape/outputs: Relu [[128, 4, 4, 1024]] here, Relu6 [[5, 4]] there'}
    assert failed(checks) == {
        'variables': 'place 2: g/reshape/dense/kernel here, g/reshape/dense/bias there; '
                     'place 3: g/reshape/dense/bias here, g/reshape/dense/kernel there'}
    assert verdict(checks).startswith("THE GRAPH IS NOT THE ARTICLE'S: 8 of 28 checks fail, ")


def test_what_differs_in_the_numbers_is_measured_and_nan_does_not_agree(reference):
    path = reference / 'numbers.npz'
    with np.load(path) as arrays:
        numbers = dict(arrays)
    changed = [name for name in numbers if name in NUMBERS]
    for name in changed:
        numbers[name].flat[0] += 0.25 * (numbers[name].flat[0] if 'norms' in name else 1)
    numbers['images_uint8'] = numbers['images_uint8'].astype(np.float32)
    numbers['images_uint8'][4] = np.nan
    np.savez(path, **numbers)
    checks = {check.name: check for check in prove(reference)}
    made_nan = ['d_loss', 'weights', 'moments', 'averages']
    assert len(changed) == 9
    assert failed(checks.values()).keys() == titles(*changed, *made_nan)
    for name in {*changed, *made_nan}:
        expected = math.nan if name in made_nan else 0.2 if 'norms' in name else 0.25  # of a norm a fourth larger
        assert checks[NUMBERS[name][0]].difference == pytest.approx(expected, abs=1e-3, nan_ok=True), name


def test_a_checkpoint_that_does_not_restore_is_not_compared(monkeypatch):
    monkeypatch.setattr(model, 'dense', functools.partial(model.dense, use_bias=False))
    checks = prove()
    found = failed(checks)
    assert found['variables'] == ('g/reshape/dense/bias: not here; d/classify/outputs/bias: not here; '
                                  'g/reshape/dense/bias/Adam: not here; 3 more')
    assert found['generated images'] == 'not compared: start.ckpt does not restore, d/classify/outputs/bias: not here'
    assert all(found[title].startswith('not compared') for title in titles(*NUMBERS))
    assert 'not compared' in table(checks)


def test_a_graph_that_cannot_be_built_is_no_traceback(monkeypatch):
    monkeypatch.setattr(model, 'dense', lambda inputs, units, name=None: inputs[:, :units, :])
    checks = prove()
    assert len(checks) == 2
    assert failed(checks)['graph'].startswith('cannot be built: ValueError: ')


@pytest.mark.parametrize('name', FILES)
def test_a_missing_file_is_answered(reference, name):
    (reference / name).unlink()
    with pytest.raises(RunError, match=rf'{name.partition(".")[0]}\S* cannot be read: .*; it holds facts that only'):
        read_reference(reference)


@pytest.mark.parametrize('name', FILES)
def test_a_damaged_file_is_answered(reference, name):
    path = reference / name
    content = path.read_bytes()
    for damage in content[:len(content) // 2], b'', bytes(byte ^ 0x55 for byte in content):
        path.write_bytes(damage)
        with pytest.raises(RunError, match=rf'{name.partition(".")[0]}\S* cannot be read: '):
            read_reference(reference)


@pytest.mark.parametrize('content', ['[]', '{}', '{"full": {}, "small": 3}'])
def test_facts_that_are_none_are_answered(reference, content):
    (reference / 'graph.json').write_text(content)
    with pytest.raises(RunError, match=r'graph\.json cannot be read: '):
        prove(reference)


def test_no_reference_at_all_is_answered(tmp_path):
    with pytest.raises(RunError, match=r'none/graph\.json cannot be read: No such file or directory; it holds facts'):
        prove(tmp_path / 'none')
