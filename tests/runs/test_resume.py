"""Stops, kills, another place, a second run, other settings: a run resumes bit for bit, or says why not."""

import json
import re
import shutil
import signal

import pytest

from dcgan.device import make_session_config
from dcgan.errors import UserError
from dcgan.runs.run_directory import RunDirectory
from tests.pictures import write_images
from tests.small_runs import (
    assert_same_bits,
    assert_same_run,
    config,
    contents,
    grids,
    log,
    run_command,
    saved_steps,
    start_command,
    variables,
)

FLAGS = ['--deterministic', '--mirror', '--ema_decay=0.9', '--d_learning_rate=0.001', '--evaluate_steps=10']
EVERY = {'save_steps': 6, 'sample_steps': 4, 'log_steps': 5}


def has_bfloat16():
    try:
        make_session_config('bfloat16')
    except UserError:
        return False
    return True


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_a_run_that_was_stopped_and_killed_is_the_run_that_was_not(
        faces, trained, whole, tmp_path, monkeypatch, precision):
    """By the real command with all its options, bit for bit; the stops fall within epochs."""
    if precision == 'bfloat16':
        monkeypatch.setenv('TF_ENABLE_ONEDNN_OPTS', '1')
        if not has_bfloat16():
            pytest.skip('this processor has no bfloat16')
    more = {'precision': precision, 'dataset_dir': faces, 'cache_dir': tmp_path, 'epochs': 10**6, **EVERY}
    parts, undisturbed = tmp_path / 'parts', tmp_path / 'undisturbed'
    resumed = {**more, 'model_dir': parts, 'init_checkpoint': whole}
    assert run_command(*FLAGS, **resumed, max_steps=7).returncode == 0
    shutil.rmtree(whole)  # is not needed again
    process = start_command(*FLAGS, **resumed)
    process.wait_for(r'step 1\d')
    process.send_signal(signal.SIGINT)
    stopped = process.end()
    assert stopped.returncode == 0, stopped.stderr
    assert 'finishing this step, then saving' in stopped.stdout
    assert 'run the same command again to resume' in stopped.stdout
    stopped_at = [7, int(re.search(r'step (\d+) is saved', stopped.stdout)[1])]
    assert grids(parts).keys() >= set(stopped_at)
    process = start_command(*FLAGS, **resumed)
    process.wait_until(lambda: log(parts)[-1]['step'] > stopped_at[1])
    process.kill()
    last = log(parts)[-1]['step'] + 10
    done = run_command(*FLAGS, **resumed, max_steps=last)
    assert done.returncode == 0, done.stderr
    assert 'resuming from step' in done.stdout

    done = run_command(*FLAGS, **more, model_dir=undisturbed, init_checkpoint=trained / 'whole', max_steps=last)
    assert done.returncode == 0, done.stderr
    assert variables(parts)['global_step'] == last
    for ours, theirs in (parts, undisturbed), (undisturbed, parts):  # where it was stopped, and what took its place
        for step in set(saved_steps(ours)) - set(saved_steps(theirs)):
            for path in ours.glob(f'model.ckpt-{step}.*'):
                path.unlink()
    assert_same_run(parts, undisturbed, stopped_at)


def test_the_same_command_again_has_nothing_to_do(fit, faces, one_step, capsys):
    before = contents(one_step)
    fit('run', config(faces, max_steps=1))
    assert contents(one_step) == before
    assert 'all 1 steps are done already' in capsys.readouterr().out


def test_a_copy_resumes_by_itself(fit, faces, trained, whole, one_step):
    before = contents(trained / 'one_step')
    fit('run', config(faces))
    assert contents(trained / 'one_step') == before
    assert_same_bits(variables(one_step), variables(whole))


def test_a_run_that_was_killed_at_its_start_starts_again_even_with_other_settings(fit, faces, whole, one_step, capsys):
    settings = json.loads((one_step / 'config.json').read_text())
    (one_step / 'config.json').write_text(json.dumps({**settings, 'seed': 7}))
    for path in [*one_step.glob('model.ckpt-1.*'), one_step / 'log.jsonl', one_step / 'model.ckpt-0.index']:
        path.unlink()
    (one_step / 'checkpoint').write_text('model_checkpoint_path: "model.ckpt-0"\n')
    (one_step / 'model.ckpt-0.index.tempstate123').touch()
    fit('run', config(faces, save_steps=2))
    assert 'resuming from the start' in capsys.readouterr().out
    assert_same_run(one_step, whole, stopped_at=[1])


def test_a_run_that_resumes_on_another_platform_warns(fit, faces, one_step, capsys):
    settings = json.loads((one_step / 'config.json').read_text())
    settings['platform']['tensorflow'] = '2.15.0'
    (one_step / 'config.json').write_text(json.dumps(settings))
    fit('run', config(faces, max_steps=1))
    assert 'may be rounded differently' in capsys.readouterr().out


@pytest.mark.usefixtures('one_step')
def test_other_settings_are_refused_by_name(fit, faces):
    with pytest.raises(UserError) as refusal:
        fit('run', config(faces, beta1=0.9, g_depths=[8, 8, 8, 8], precision='bfloat16', deterministic=True,
                          log_steps=7))
    assert str(refusal.value).splitlines()[1:-1] == [
        '  g_depths: [8, 8, 4, 4] there, [8, 8, 8, 8] now', '  beta1: 0.5 there, 0.9 now',
        '  precision: float32 there, bfloat16 now', '  deterministic: False there, True now']


@pytest.mark.usefixtures('one_step')
def test_images_may_move_but_not_change(fit, faces, tmp_path):
    moved = shutil.copytree(faces, tmp_path / 'moved')
    fit('run', config(moved, max_steps=1))
    write_images(moved, 14, height=30)
    with pytest.raises(UserError, match=r'images_crc32: \d+ there, \d+ now'):
        fit('run', config(moved, max_steps=1))


def test_a_second_run_is_refused_while_the_first_trains(fit, faces, one_step):
    with (RunDirectory(one_step).locked(),
          pytest.raises(UserError, match=f'another run is training in {one_step}; ')):
        fit('run', config(faces))
    fit('run', config(faces, max_steps=1))
