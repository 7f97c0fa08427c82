"""The proof of the graph: every check agrees here, and every difference from the reference is found and named."""

import functools
import json
import shutil

import numpy as np
import pytest

import dcgan.comparison.proof
import model
import ops
from dcgan.comparison.proof import NUMBERS, PARTS, describe, format_table, prove, verdict
from dcgan.comparison.reference import REFERENCE, read_reference
from dcgan.errors import UserError
from tests.commands import run_script

GRAPH_CHECKS = ['variables', 'their shapes', 'which are trained', 'generator', 'discriminator', 'collections',
                'end points']
CHECKS = [*((part, name) for part in PARTS.values() for name in GRAPH_CHECKS),
          *((PARTS['small'], title) for title, _, _ in NUMBERS.values())]


@pytest.fixture
def reference(tmp_path):
    """A copy of the reference, to be changed."""
    return shutil.copytree(REFERENCE, tmp_path / 'reference')


def failed(checks, part='small'):
    """Returns {name: finding} of the checks of a graph that fail."""
    return {check.name: describe(check) for check in checks if not check.agrees and check.part == PARTS[part]}


def titles(*names):
    return {NUMBERS[name][0] for name in names}


def test_every_check_agrees_with_the_article():
    checks = prove()
    assert [(check.part, check.name) for check in checks] == CHECKS
    assert not [describe(check) for check in checks if not check.agrees]
    assert all(0 <= check.difference <= check.tolerance for check in checks if check.tolerance is not None)


def test_the_command_proves_the_graph_even_if_onednn_is_on(monkeypatch):
    monkeypatch.setenv('TF_ENABLE_ONEDNN_OPTS', '1')
    done = run_script('compare.py')
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, last = done.stdout.splitlines()
    for expected in ('18,872,323 parameters', '4,324,866 parameters', 'on the CPU, without oneDNN'):
        assert expected in done.stdout
    assert sum(' agrees ' in line for line in lines) == len(CHECKS)
    assert sum('largest difference' in line for line in lines) == len(NUMBERS)
    assert last.startswith("the graph is the article's: 27 of 27 checks agree, TensorFlow ")


def change_model():
    """Changes the learning rate, beta1 and the momentum; the proof runs in this process instead of its child."""
    dcgan.comparison.proof.prove_in_child = prove
    model.DCGAN.train = functools.partialmethod(model.DCGAN.train, learning_rate=0.001, beta1=0.9)
    ops.batch_normalization = functools.partial(ops.batch_normalization, momentum=0.9)


def test_the_command_fails_if_the_model_was_changed():
    done = run_script('compare.py', prepare=change_model)
    assert done.returncode == 1, done.stdout + done.stderr
    *lines, last = done.stdout.splitlines()
    different = [line for line in lines if ' DIFFERS ' in line]
    assert {title for title in titles(*NUMBERS) if any(line.startswith(f'  {title} ') for line in different)} == titles(
        'g_loss', 'd_loss', 'generated_after', 'weights', 'moments', 'powers', 'averages')
    assert last.startswith("THE GRAPH IS NOT THE ARTICLE'S: 7 of 27 checks fail, TensorFlow ")


def test_differences_are_named_and_measured_and_nan_does_not_agree(reference):
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
    with np.load(reference / 'numbers.npz') as arrays:
        numbers = dict(arrays)
    numbers['generated'].flat[0] += 0.25
    numbers['images_uint8'] = numbers['images_uint8'].astype(np.float32)
    numbers['images_uint8'][4] = np.nan
    np.savez(reference / 'numbers.npz', **numbers)
    checks = prove(reference)
    assert failed(checks, 'full') == {
        'variables': 'g/other: not here; g/reshape/dense/kernel: not there',
        'their shapes': 'g/reshape/dense/bias: [16384] here, [7] there',
        'which are trained': 'g/reshape/batch_normalization/gamma: True here, False there',
        'generator': 'g/other: not here; g/reshape/dense/kernel: not there',
        'discriminator': 'parameters: 4,324,866 here, 4,324,865 there',
        'collections': 'd_losses: 2 here, 3 there',
        'end points': 'g/reshape/outputs: Relu [[128, 4, 4, 1024]] here, Relu6 [[5, 4]] there'}
    found = failed(checks)
    assert found.pop('variables') == ('place 1: g/reshape/dense/kernel here, g/reshape/dense/bias there; '
                                      'place 2: g/reshape/dense/bias here, g/reshape/dense/kernel there')
    assert found.keys() == titles('generated', 'd_loss', 'weights', 'moments', 'averages')
    differences = {check.name: check.difference for check in checks}
    for name, expected in ('generated', 0.25), ('d_loss', np.nan), ('averages', np.nan):
        assert differences[NUMBERS[name][0]] == pytest.approx(expected, abs=1e-3, nan_ok=True), name
    assert verdict(checks).startswith("THE GRAPH IS NOT THE ARTICLE'S: ")


def test_a_checkpoint_that_does_not_restore_is_not_compared(monkeypatch):
    monkeypatch.setattr(ops, 'dense', functools.partial(ops.dense, use_bias=False))
    checks = prove()
    found = failed(checks)
    assert found['variables'] == ('g/reshape/dense/bias: not here; d/classify/outputs/bias: not here; '
                                  'g/reshape/dense/bias/Adam: not here; 3 more')
    assert all(found[title].startswith('not compared: ') for title in titles(*NUMBERS))
    assert 'not compared' in format_table(checks)


def test_a_graph_that_cannot_be_built_fails_without_traceback(monkeypatch):
    monkeypatch.setattr(ops, 'dense', lambda inputs, units, name=None: inputs[:, :units, :])
    checks = prove()
    assert len(checks) == 2
    assert failed(checks)['graph'].startswith('cannot be built: ValueError: ')


@pytest.mark.parametrize('name', ['graph.json', 'numbers.npz', 'start.ckpt.index', 'end.ckpt.data-00000-of-00001'])
def test_a_damaged_or_missing_file_of_the_reference_is_reported(reference, name):
    path = reference / name
    content = path.read_bytes()
    for damage in content[:len(content) // 2], b'', bytes(byte ^ 0x55 for byte in content), None:
        path.unlink()
        if damage is not None:
            path.write_bytes(damage)
        with pytest.raises(UserError, match=rf'cannot read .*{name.partition(".")[0]}\S*: .*; restore it \(git che'):
            read_reference(reference)


@pytest.mark.parametrize('content', ['[]', '{}', '{"full": {}, "small": 3}'])
def test_a_graph_json_of_another_structure_is_reported(reference, content):
    (reference / 'graph.json').write_text(content)
    with pytest.raises(UserError, match=r'cannot read .*graph\.json: '):
        prove(reference)
