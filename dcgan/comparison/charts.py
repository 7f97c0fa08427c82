"""Charts of the report, as PNG bytes."""

import io

import numpy as np
from matplotlib.figure import Figure

INK, BLUE, ORANGE, GRAY = '#333333', '#2166ac', '#d6604d', '#8a8a8a'
WIDTH = 7.2  # inches, at 200 dots per inch, for print
WINDOW = 11  # logged values in a running mean


def losses(entries, milestones):
    """Draws both losses over the steps: the logged values, pale, and their running means.

    Args:
      entries: dicts with 'step', 'g_loss', 'd_loss', oldest first, at least one.
      milestones: {step: title}, marked in the chart.
    """
    figure, axes = _figure(1, 2.8)
    steps = [entry['step'] for entry in entries]
    for name, color, title in ('g_loss', BLUE, 'generator'), ('d_loss', ORANGE, 'discriminator'):
        values = np.array([entry[name] for entry in entries])
        axes[0].plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
        axes[0].plot(steps, _running_mean(values), color=color, linewidth=1.8, label=title)
    axes[0].set_ylim(bottom=0)
    axes[0].set(xlabel='step', ylabel='loss, nats', xlim=(0, steps[-1]))
    for step, title in milestones.items():
        if 0 < step <= steps[-1]:
            axes[0].axvline(step, color=GRAY, linewidth=0.8, linestyle=':')
            axes[0].annotate(title, (step, 1), xycoords=('data', 'axes fraction'), xytext=(-3, -3),
                             textcoords='offset points', rotation=90, ha='right', va='top', color=GRAY, fontsize=7)
    axes[0].legend(frameon=False, fontsize=8)
    return _png(figure)


def numbers(series):
    """Draws metrics over the steps, each in its own panel; floors are dashed.

    Args:
      series: {title: [(step, value, floor or None), ...]}, at least one.
    """
    figure, axes = _figure(len(series), 2.6)
    for panel, (title, points) in zip(axes, series.items(), strict=True):
        steps, values, floors = zip(*points, strict=True)
        panel.plot(steps, values, 'o-', color=BLUE, linewidth=1.5, markersize=4)
        if floors[0] is not None:
            panel.axhline(floors[0], color=GRAY, linewidth=1, linestyle='--')
            panel.annotate('real images', (1, floors[0]), xycoords=('axes fraction', 'data'), xytext=(-2, 3),
                           textcoords='offset points', ha='right', color=GRAY, fontsize=7)
        panel.set_title(title, fontsize=9)
        panel.set_xlabel('step')
        if min(value for value in (*values, *floors) if value is not None) >= 0:  # kid may be negative
            panel.set_ylim(bottom=0)
    return _png(figure)


def _figure(panels, height):
    figure = Figure((WIDTH, height), layout='constrained', dpi=200)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for panel in axes:
        panel.spines[['top', 'right']].set_visible(False)
        panel.spines[['left', 'bottom']].set_color(GRAY)
        panel.tick_params(colors=INK, labelsize=8)
        panel.xaxis.label.set_size(8)
        panel.yaxis.label.set_size(8)
        panel.grid(axis='y', color='#e6e6e6', linewidth=0.6)
        panel.set_axisbelow(True)
    return figure, axes


def _running_mean(values):
    """Returns the centered running mean; its window shrinks near both ends."""
    last = len(values) - 1
    reaches = [min(WINDOW // 2, index, last - index) for index in range(len(values))]
    return np.array([values[index - reach:index + reach + 1].mean() for index, reach in enumerate(reaches)])


def _png(figure):
    content = io.BytesIO()
    figure.savefig(content, format='png')
    return content.getvalue()
