"""The commands of the pages on sampling, exploring and exporting run in order, after a training."""

import pytest

from tests.pages import Step, make_checkout, name_of, needs_ctrl_c, run_step, steps_to_run

TRAINING = Step('README.md', ['python', 'train.py'])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_checkout(tmp_path_factory.mktemp('pages'))


@needs_ctrl_c
@pytest.mark.parametrize('step', [TRAINING, *steps_to_run('docs/sampling.md', 'docs/explore-and-export.md')],
                         ids=name_of)
def test_the_steps_run_in_order(folder, step):
    run_step(step, folder)
