"""Side files of a run that are damaged or gone: a sentence or a repair, never a traceback."""

import json
import shutil

import pytest

from dcgan.errors import UserError
from dcgan.runs.event_log import read_log
from dcgan.runs.run_directory import RunDirectory
from dcgan.runs.settings import Config
from tests.small_runs import config, log, start_command

WRONG = [None, True, 'text', -1, 0, 1.5, 10**400, [], [1], {}, {'a': {}}]


@pytest.mark.parametrize('name', [*Config._fields, 'images', 'images_crc32', 'workers', 'platform'])
def test_a_setting_of_a_wrong_type_is_refused(fit, faces, one_step, name):
    path = one_step / 'config.json'
    right = json.loads(path.read_text())
    refused = 0
    for value in WRONG:
        path.write_text(json.dumps({**right, name: value}))
        try:
            RunDirectory(one_step).read_config()
            fit('run', config(faces, max_steps=1))
        except UserError as error:
            assert '\n' in str(error) or 'config.json is damaged: ' in str(error) or 'platform' in str(error)  # noqa: PT017
            refused += 1
    assert refused >= 5


@pytest.mark.parametrize('content', [b'[' * 100_000, b'{"a":' * 100_000,
                                     b'{"platform": ' + b'[' * 2000 + b']' * 2000 + b'}'])
def test_a_deeply_nested_config_is_refused(fit, faces, one_step, content):
    (one_step / 'config.json').write_bytes(content)
    with pytest.raises(UserError, match=r'config\.json is damaged'):
        fit('run', config(faces, max_steps=2))


def test_lines_of_the_log_without_a_field_or_with_a_wrong_one_are_dropped(fit, faces, one_step, capsys):
    run = one_step
    whole = log(run)
    with (run / 'log.jsonl').open('a') as file:
        for line in ('{}', '[]', '7', '{"step": "1"}', '{"step": 1}', json.dumps({**whole[0], 'g_loss': None}),
                     json.dumps({**whole[0], 'step': 1.5}), '[' * 100_000, json.dumps({**whole[0], 'd_loss': 10**400})):
            file.write(line + '\n')
    assert read_log(run / 'log.jsonl') == whole
    fit('run', config(faces, max_steps=2))
    assert [entry['step'] for entry in log(run)] == [1, 2]
    assert 'are damaged; leaving them out' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['config.json', 'log.jsonl', 'reals.png', 'checkpoint', 'lock.owner'])
def test_a_folder_in_the_place_of_a_file_gets_a_sentence(fit, faces, one_step, name):
    (one_step / name).unlink(missing_ok=True)
    (one_step / name).mkdir()
    (one_step / name / 'x').touch()
    with pytest.raises(UserError, match=r'cannot (write|read|use) '):
        fit('run', config(faces, max_steps=2))


def test_a_folder_that_a_killed_run_seems_to_have_left_gets_a_sentence(fit, faces, one_step):
    (one_step / 'x.part').mkdir()
    with pytest.raises(UserError, match=r'cannot write .*x\.part'):
        fit('run', config(faces, max_steps=2))


def test_a_run_directory_that_is_removed_while_training_ends_the_run_with_the_reason(faces, tmp_path):
    run = tmp_path / 'run'
    process = start_command(dataset_dir=faces, model_dir=run, cache_dir=tmp_path / 'cache', epochs=10**6, log_steps=1,
                            save_steps=50)
    process.wait_for('step 2/')
    while run.exists():
        shutil.rmtree(run, ignore_errors=True)
    done = process.end()
    assert done.returncode == 1, done.stderr
    assert f'the run directory {run} was removed while training, and with it all that was saved' in done.stderr
    assert 'is saved in' not in done.stdout
