"""The report: a self-contained HTML page that compares a run with the article."""

import base64
import re
import statistics
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from data.order import steps_per_epoch
from dcgan.comparison import charts
from dcgan.comparison.milestones import SUFFIXES
from dcgan.comparison.proof import verdict
from dcgan.errors import UserError
from dcgan.metrics.results import TRAINED_ON, notes, number, samples
from dcgan.runs.checkpoints import ARTICLE_UPDATES
from dcgan.runs.event_log import read_log
from dcgan.runs.run_directory import RunDirectory
from dcgan.runs.settings import DEFAULTS, PRESETS, Config

FOLDER = Path(__file__).parent
DIFFERENCES = FOLDER.parents[1] / 'docs' / 'differences.md'
SIZES = {**PRESETS['article'], 'image_size': 64, 'z_dim': 100, 'learning_rate': 0.0002, 'd_learning_rate': 0.0002,
         'beta1': 0.5}  # the article's settings
WEIGHTS = {'trained': 'weights as trained', 'ema': 'averaged weights'}


def read_settings(run):
    """Returns the settings of a run, a Path: its config.json, with defaults for what older versions did not record.

    Raises:
      UserError: they are missing or damaged.
    """
    recorded = RunDirectory(run).read_config()
    config = recorded | {name: value for name, value in DEFAULTS.items() if name not in recorded}
    if missing := [name for name in (*Config._fields, 'images', 'platform') if name not in config]:
        raise UserError(f'{run / "config.json"} is damaged: it lacks {", ".join(missing)}; restore it')
    return config


def page(run, config, milestones, figures, checks):
    """Returns the report as the bytes of an HTML file, and its pictures as {file name: bytes}.

    Args:
      run: the run directory, a Path.
      config: its settings, as ``read_settings`` returns them.
      milestones: Milestones, at least one of them with a checkpoint.
      figures: {name of a milestone: (MIME type, bytes) of the article's figure}.
      checks: Checks of the graph.
    """
    entries = read_log(run / 'log.jsonl')
    batch = config['batch_size'] * config['workers']
    ours = {**config, 'batch_size': batch}
    if ours['d_learning_rate'] is None:
        ours['d_learning_rate'] = ours['learning_rate']
    pictures = {f'{milestone.name}.png': milestone.picture for milestone in milestones if milestone.picture}
    if entries:
        pictures['losses.png'] = charts.losses(entries, {milestone.step: milestone.title for milestone in milestones})
    measured = [milestone for milestone in milestones if milestone.results]
    if measured:
        pictures['numbers.png'] = charts.numbers(_series(measured))
    numbers = [[f'{first.metric} {first.part}'.strip(), number(first, first.floor),
                *(number(result, result.value) for result in (first, *others))]
               for first, *others in zip(*(milestone.results for milestone in measured), strict=True)]
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, extensions=['jinja2.ext.do'])
    environment.filters |= {'uri': _uri, 'code': _code, 'samples': samples, 'notes': notes}
    html = environment.get_template('report.html').render(
        name=run.resolve().name, config=config, ours=ours, batch=batch, entries=entries, speed=_speed(entries, batch),
        epoch_steps=steps_per_epoch(config['images'], batch), milestones=milestones, measured=measured,
        headings=[_heading(milestone) for milestone in measured], numbers=numbers,
        last=[milestone for milestone in milestones if milestone.picture][-1], weights=WEIGHTS, trained_on=TRAINED_ON,
        pictures={name: ('image/png', content) for name, content in pictures.items()}, figures=figures,
        figure_names=ARTICLE_UPDATES, suffixes=SUFFIXES, checks=checks, verdict=verdict(checks), article=SIZES,
        differing=[name for name in SIZES if name not in ('epochs', 'ema_decay') and ours[name] != SIZES[name]],
        differences=_differences())
    return html.encode(), pictures


def _heading(milestone):
    is_exact = milestone.updates in (None, milestone.step)
    return f'{milestone.step:,} updates' + ('' if is_exact else f' (the article: {milestone.updates:,})')


def _series(milestones):
    """Returns {title: [(step, value, floor), ...]} for each metric; of swd, only the mean."""
    series = {}
    for milestone in milestones:
        for result in milestone.results:
            if result.part in ('', 'mean'):
                title = f'{result.metric} {result.part}'.strip()
                series.setdefault(title, []).append((milestone.step, result.value, result.floor))
    return series


def _speed(entries, batch):
    """Returns the median, minimum and maximum of the images per second and the hours of a log; None if it is empty."""
    if not entries:
        return None
    rates = [entry['images_per_second'] for entry in entries]
    steps = [0, *(entry['step'] for entry in entries)]
    seconds = sum((after - before) * batch / rate for before, after, rate in zip(steps, steps[1:], rates, strict=False))
    return statistics.median(rates), min(rates), max(rates), seconds / 3600


def _differences():
    """Returns the rows of the table of differences in the documentation."""
    table = DIFFERENCES.read_text(encoding='utf-8').partition('| the article | here | why |\n|---|---|---|\n')[2]
    return [row.strip('| ').split(' | ') for row in table.partition('\n\n')[0].splitlines()]


def _code(text):
    return Markup(re.sub(r'`([^`]+)`', r'<code>\1</code>', str(escape(text))))


def _uri(picture):
    kind, content = picture
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'
