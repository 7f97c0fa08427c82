"""The commands of the README and of the page on evaluation run in order, in one folder: each needs those before it."""

import pytest

from tests.pages import (
    INTERPRETERS,
    NOT_RUN,
    PAGES,
    STEPS,
    is_run,
    make_checkout,
    name_of,
    needs_ctrl_c,
    run_step,
    steps_to_run,
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_checkout(tmp_path_factory.mktemp('readme'))


@needs_ctrl_c
@pytest.mark.parametrize('step', steps_to_run('README.md', 'docs/evaluation.md'), ids=name_of)
def test_the_steps_run_in_order(folder, step):
    run_step(step, folder)


def test_each_page_has_commands_and_no_other_programs():
    assert {step.page for step in STEPS} == set(PAGES)
    for step in STEPS:
        assert step.code or step.words[0] in (*INTERPRETERS, *NOT_RUN), step
    assert [step.words[1:] for step in STEPS if not is_run(step) and step.words[0] in INTERPRETERS] == [
        ['-m', 'venv', '.venv'], ['-m', 'pytest']]
