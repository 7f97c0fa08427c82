"""The notebook runs from its first cell to its last one, and shows today's code."""

import re

import nbformat
import pytest
from nbclient import NotebookClient

from docs.make_help import ROOT

NOTEBOOK = ROOT / 'docs' / 'dcgan_faces.ipynb'


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """The notebook; what its kernel caches is in ``tmp_path``."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('IPYTHONDIR', str(tmp_path / 'ipython'))
    return nbformat.read(NOTEBOOK, as_version=4)


def first_cell(notebook):
    return next(cell for cell in notebook.cells if cell.cell_type == 'code')


def execute(notebook, folder):
    resources = {'metadata': {'path': str(folder)}}
    NotebookClient(notebook, timeout=600, kernel_name='python3', resources=resources).execute()


def outputs_of(notebook, mime_type):
    """Returns the outputs of that type, in order."""
    return [output.data[mime_type] for cell in notebook.cells for output in cell.get('outputs', [])
            if mime_type in output.get('data', {})]


def printed(notebook):
    return ''.join(output.text for cell in notebook.cells for output in cell.get('outputs', [])
                   if output.get('name') == 'stdout')


def test_the_notebook_runs_and_shows_the_code_of_model_py(notebook):
    kept = outputs_of(notebook, 'text/markdown'), len(outputs_of(notebook, 'image/png'))
    cell = first_cell(notebook)
    cell.source, count = re.subn('^STEPS = [0-9]+', 'STEPS = 6', cell.source, flags=re.MULTILINE)
    assert count == 1
    execute(notebook, NOTEBOOK.parent)
    assert (outputs_of(notebook, 'text/markdown'), len(outputs_of(notebook, 'image/png'))) == kept, (
        'run all cells of docs/dcgan_faces.ipynb again, and save it')
    assert 'step 6: generator' in printed(notebook)
    assert "the graph is the article's" in printed(notebook)


def test_alone_in_a_folder_the_notebook_asks_for_the_project_and_finds_it(notebook, tmp_path):
    asks = first_cell(notebook)
    asks.metadata.tags = ['raises-exception']
    finds = nbformat.v4.new_code_cell(asks.source.replace("REPOSITORY = ''", f'REPOSITORY = {str(ROOT)!r}'))
    notebook.cells = [asks, finds, nbformat.v4.new_code_cell('import model; print(model.__file__)')]
    execute(notebook, tmp_path)
    [error] = [output for output in asks.outputs if output.output_type == 'error']
    assert 'set REPOSITORY in this cell' in error.evalue
    assert str(ROOT / 'model.py') in printed(notebook)
