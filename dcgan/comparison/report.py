"""The report: a self-contained HTML page that compares a run with the article."""

import base64
import re
import statistics
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from dcgan.comparison import charts
from dcgan.comparison.differences import DIFFERENCES
from dcgan.comparison.proof import verdict
from dcgan.comparison.published import ARTICLE, PUBLISHED, SOURCES, Published
from dcgan.metrics.table import TRAINED_ON, notes, number, samples
from dcgan.runs.checkpoints import ARTICLE_UPDATES


class Contents(NamedTuple):
    """What a report shows.

    Attributes:
      run: the run directory, a Path.
      config: its config.json.
      entries: the entries of its log.
      batch: images per step, on all workers.
      steps_per_epoch: steps per epoch.
      milestones: Milestones.
      grids: {name of a milestone: PNG of its faces}, without those that cannot be drawn.
      results: {name of a milestone: its Results}.
      figures: {name of a milestone: (MIME type, bytes) of the article's figure}.
      checks: Checks of the graph.
    """

    run: Path
    config: dict
    entries: list
    batch: int
    steps_per_epoch: int
    milestones: list
    grids: dict
    results: dict
    figures: dict
    checks: list


def page(contents):
    """Returns the report as the bytes of an HTML file, and its pictures as {file name: bytes}.

    Args:
      contents: Contents.
    """
    pictures = {f'{name}.png': png for name, png in contents.grids.items()}
    titles = {milestone.step: milestone.title for milestone in contents.milestones}
    if contents.entries:
        pictures['losses.png'] = charts.losses(contents.entries, titles)
    series = _series(contents)
    if series:
        pictures['numbers.png'] = charts.numbers(series)
    embedded = {name: _uri('image/png', png) for name, png in pictures.items()}
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    html = environment.get_template('report.html').render(
        run=_run(contents), milestones=[_milestone(contents, milestone, embedded) for milestone in contents.milestones],
        has_figures=bool(contents.figures), figure_names=', '.join(ARTICLE_UPDATES),
        losses=embedded.get('losses.png'), numbers_chart=embedded.get('numbers.png'), **_numbers(contents),
        published=[*_ours(contents), *PUBLISHED], sources=SOURCES, proof=_proof(contents.checks),
        differences=[list(map(_code, row)) for row in DIFFERENCES], settings=_settings(contents.config),
        machine=_machine(contents))
    return html.encode(), pictures


def _run(contents):
    config = contents.config
    last = [milestone for milestone in contents.milestones if milestone.name in contents.grids][-1]
    data = Path(config['dataset_dir']).name if config['dataset_dir'] else 'the embedded faces'
    batch, epoch_steps = contents.batch, contents.steps_per_epoch
    return {
        'name': contents.run.resolve().name, 'tensorflow': config['platform']['tensorflow'],
        'log_steps': config['log_steps'],
        'epoch': f'{epoch_steps:,} updates of {batch} images',
        'summary': f'This run: {config["images"]:,} images of {data}, {config["image_size"]}x{config["image_size"]}, '
                   f'batch {batch}, seed {config["seed"]}, {config["precision"]}; shown up to step {last.step:,}.'}


def _milestone(contents, milestone, embedded):
    figure = contents.figures.get(milestone.name)
    newest = max(one.step for one in contents.milestones if one.checkpoint)
    missing = (f'This run has not reached {milestone.step:,} updates yet; its newest checkpoint has {newest:,}'
               if newest < milestone.step else f'This run has no readable checkpoint near {milestone.step:,} updates')
    return {
        'name': milestone.name, 'title': milestone.title, 'picture': embedded.get(f'{milestone.name}.png'),
        'when': f'{milestone.step:,} updates, {milestone.epochs:.4g} epochs of its data',
        'updates': None if milestone.updates is None else f'{milestone.updates:,} updates', 'missing': missing,
        'no_figure': 'The article has no figure for this.' if milestone.updates is None else
                     f'There is no {milestone.name} in --article_figures.', 'article': figure and _uri(*figure)}


def _in_updates(milestone):
    """Returns the title of a milestone with its number of updates."""
    if milestone.updates in (None, milestone.step):
        return milestone.title if not milestone.updates else f'{milestone.title}, {milestone.step:,} updates'
    return f'{milestone.title} ({milestone.updates:,} updates), here {milestone.step:,}'


def _numbers(contents):
    """Returns the values of the section of numbers."""
    measured = [milestone for milestone in contents.milestones if milestone.name in contents.results]
    if not measured:
        return {'numbers': [], 'number_titles': [], 'protocol': '', 'notes': [], 'hows': {}}
    rows = []
    for of_row in zip(*(contents.results[milestone.name] for milestone in measured), strict=True):
        first = of_row[0]
        rows.append({'name': f'{first.metric} {first.part}', 'floor': number(first, first.floor),
                     'cells': [number(result, result.value) for result in of_row]})
    results = contents.results[measured[0].name]
    protocol = results[0].protocol
    return {
        'numbers': rows, 'number_titles': [_in_updates(milestone) for milestone in measured],
        'protocol': f'Real images: {protocol["real_images"]:,} of {protocol["data"]}'
                    f'{TRAINED_ON[protocol["are_trained_on"]]}; crop {protocol["crop"]}; resized by '
                    f'{protocol["resizer"]} to {protocol["size"]}x{protocol["size"]}. Faces: seeds from '
                    f'{protocol["seed"]} on, batch normalization by {protocol["batch_norm"]} statistics, '
                    f'{protocol["weights"]} weights.',
        'notes': notes(results),
        'hows': {result.metric: f'{result.protocol["how"]}; {samples(result)}' for result in results}}


def _ours(contents):
    """Returns the last numbers of the run as a list of one Published; an empty list if none were measured."""
    measured = [milestone for milestone in contents.milestones if milestone.name in contents.results]
    if not measured:
        return []
    config, results = contents.config, contents.results[measured[-1].name]
    rate = config['learning_rate']
    d_rate = rate if config.get('d_learning_rate') is None else config['d_learning_rate']  # version 0.1.0 had only one
    protocol = results[0].protocol
    return [Published(
        'This run', f'{protocol["data"]}, crop {protocol["crop"]}, batch {contents.batch}, generator at {rate}, '
                    f'discriminator at {d_rate}, {measured[-1].step:,} updates',
        f'as under Numbers, {_in_updates(measured[-1])}',
        [f'{result.metric} {result.part}'.strip() + f': {number(result, result.value)}' for result in results])]


def _series(contents):
    """Returns {title: [(step, value, floor), ...]} for each metric; of swd, only the mean."""
    series = {}
    for milestone in contents.milestones:
        for result in contents.results.get(milestone.name, []):
            if result.part in ('', 'mean'):
                title = f'{result.metric} {result.part}'.strip()
                series.setdefault(title, []).append((milestone.step, result.value, result.floor))
    return series


def _proof(checks):
    parts = {}
    for check in checks:
        parts.setdefault(check.part, []).append({
            'name': check.name, 'found': check.found, 'agrees': check.agrees,
            'difference': '' if check.difference is None else f'{check.difference:.2g}',
            'tolerance': '' if check.tolerance is None else f'{check.tolerance:g}'})
    return {'agrees': all(check.agrees for check in checks), 'verdict': verdict(checks), 'parts': parts.items()}


def _settings(config):
    return [{'name': name, 'value': ', '.join(map(str, value)) if isinstance(value, list) else
             'unset' if value is None else value, 'article': ARTICLE.get(name, '')}
            for name, value in config.items() if name != 'platform']


def _machine(contents):
    """Returns (name, value) of the platform and the speed of the run."""
    names = {'python': 'Python', 'tensorflow': 'TensorFlow', 'numpy': 'NumPy', 'gpu': 'GPU', 'processor': 'processor',
             'cores': 'cores', 'onednn': 'oneDNN (TF_ENABLE_ONEDNN_OPTS)'}
    rows = [(names.get(name, name), 'none' if value is None else value)
            for name, value in contents.config['platform'].items()]
    if contents.entries:
        rates = [entry['images_per_second'] for entry in contents.entries]
        steps = [0, *(entry['step'] for entry in contents.entries)]
        seconds = sum((after - before) * contents.batch / rate
                      for before, after, rate in zip(steps, steps[1:], rates, strict=False))
        rows += [('images a second', f'{statistics.median(rates):.1f}, median of the logged values [min..max] '
                                     f'[{min(rates):.1f}..{max(rates):.1f}]'),
                 ('time', f'{seconds / 3600:.2f} hours for {steps[-1]:,} steps, from the logged values')]
    return rows


def _code(text):
    return Markup(re.sub(r'`([^`]+)`', r'<code>\1</code>', str(escape(text))))


def _uri(kind, content):
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'
