"""The report: a self-contained HTML page that compares a run with the article."""

import base64
import re
from pathlib import Path

import numpy as np
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
from dcgan.runs.settings import PRESETS, Config

FOLDER = Path(__file__).parent
DIFFERENCES = FOLDER.parents[1] / 'docs' / 'differences.md'
ROW = re.compile(r'^\| (.+) \| (.+) \| (.+) \|$', re.MULTILINE)  # of the table in DIFFERENCES
ARTICLE = {**PRESETS['article'], 'image_size': 64, 'z_dim': 100, 'learning_rate': 0.0002, 'd_learning_rate': 0.0002,
           'beta1': 0.5}


def read_settings(run):
    """Returns the settings of a run, a Path: its config.json, with defaults for what older versions did not record.

    Raises:
      UserError: they are missing or damaged.
    """
    config = RunDirectory(run).read_config()
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
    config = {**config, 'batch_size': batch}
    if config['d_learning_rate'] is None:
        config['d_learning_rate'] = config['learning_rate']
    rows = zip(*(milestone.results for milestone in milestones if milestone.results), strict=True)
    results = {f'{row[0].metric} {row[0].part}'.strip(): row for row in rows}
    pictures = {f'{milestone.name}.png': milestone.picture for milestone in milestones if milestone.picture}
    if entries:
        pictures['losses.png'] = charts.losses(entries, milestones)
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, extensions=['jinja2.ext.do'])
    environment.filters |= {'uri': _uri, 'code': _code, 'number': number, 'samples': samples, 'notes': notes}
    html = environment.get_template('report.html').render(
        name=run.resolve().name, config=config, article=ARTICLE, milestones=milestones, results=results,
        entries=entries, speed=_speed(entries, batch) if entries else None, pictures=pictures, figures=figures,
        epoch_steps=steps_per_epoch(config['images'], batch), figure_names=ARTICLE_UPDATES, suffixes=SUFFIXES,
        checks=checks, verdict=verdict(checks), trained_on=TRAINED_ON,
        differences=ROW.findall(DIFFERENCES.read_text(encoding='utf-8').partition('\n## ')[0])[1:])
    return html.encode(), pictures


def _speed(entries, batch):
    """Returns the median, minimum and maximum of the images per second, and the hours of a log."""
    rates = np.array([entry['images_per_second'] for entry in entries])
    steps = np.diff([entry['step'] for entry in entries], prepend=0)
    return np.median(rates), rates.min(), rates.max(), (steps * batch / rates).sum() / 3600


def _code(text):
    return Markup(re.sub(r'`([^`]+)`', r'<code>\1</code>', str(escape(text))))


def _uri(content, kind='image/png'):
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'
