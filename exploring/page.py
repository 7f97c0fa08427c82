"""The page: faces by seed, what lies between those that are picked, their sums; all of it over training."""

import asyncio
import contextlib
import functools
import math

import numpy as np
from nicegui import ui

from exploring.picture import Faces, Picture
from runtime.errors import RunError
from sampling import draw
from sampling.checkpoint import name_of
from sampling.latents import parse_sum
from sampling.seeds import LARGEST, parse_seeds, write_seeds

MOST = 256  # faces that are drawn at once, or added up
AHEAD = 8  # checkpoints for which the faces are drawn before they are asked for
ACROSS = 8  # picked faces in a row
NEAREST = 5
FIRST = '0-63'  # faces


def serve(shown, host, port, opens_browser):
    """Answers browsers until the process is stopped; each has a page of its own.

    Args:
      shown: a Shown.
      host, port: where it listens.
      opens_browser: whether one is opened here, too.
    """
    ui.run(lambda: Page(shown), host=host, port=port, show=opens_browser, title=f'DCGAN faces: {shown.name}',
           reload=False, show_welcome_message=False)


class Page:
    """The page as one visitor has it."""

    def __init__(self, shown):
        """Builds it; the first faces are drawn once the browser is there."""
        self._shown = shown
        self._picked = []  # seeds, in the order in which they were picked
        self._seeds, self._terms = parse_seeds(FIRST), []  # of the faces and of the sum that are shown
        ui.label(f'DCGAN faces: {shown.name}').classes('text-h6')
        self._build_training_time()
        with ui.row().classes('w-full items-start'):
            with ui.column().classes('w-[34rem] max-w-full'):
                self._build_faces()
            with ui.column().classes('w-[38rem] max-w-full'):
                self._build_picked()
                with ui.row().classes('w-full items-stretch'):
                    self._build_between()
                    self._build_sum()
                self._build_nearest()
        ui.timer(0, self._show_faces, once=True)

    def _build_training_time(self):
        last = len(self._shown.generators) - 1
        with ui.row().classes('w-full items-center no-wrap'):
            ui.label('Training time').classes('whitespace-nowrap')
            self._time = ui.slider(min=0, max=last, value=last, on_change=self._change_time)
            self._time.props('snap markers aria-label="Training time"').set_enabled(last > 0)
            ui.label().classes('whitespace-nowrap').bind_text_from(self._time, 'value', self._shown.moments.__getitem__)

    def _build_faces(self):
        with _card('Faces', 'A seed is a face. A click picks it, or lets it go.'):
            self._wanted = _field('Seeds, as 7,100-163', FIRST, self._draw_faces)
            with ui.row():
                _button('Draw', self._draw_faces)
                _button('Before', lambda: self._turn(-1))
                _button('Next', lambda: self._turn(1))
            self._faces = Faces('100%', self._pick)

    def _build_picked(self):
        with _card('Picked faces', 'A click lets one go.'):
            self._picks = Faces('auto', self._pick)

    def _build_between(self):
        with _card('Between two', 'Slide from one picked face to another.').classes('flex-1 min-w-64'):
            with ui.row().classes('w-full no-wrap'):
                self._start = ui.select([], label='From', on_change=self._show_between).classes('grow')
                self._end = ui.select([], label='To', on_change=self._show_between).classes('grow')
            self._percent = ui.slider(min=0, max=100, value=50, on_change=self._show_between)
            self._percent.props('label aria-label="Percent of the way"')
            self._between = Picture('12rem')

    def _build_sum(self):
        with _card('Sum', 'Of latents. Large sums leave the range of faces.').classes('flex-1 min-w-64'):
            self._sum = _field('Sum, as mean(7,9) - 3 + 20', '', self._draw_sum)
            _button('Add up', self._draw_sum)
            self._result = Picture('12rem')

    def _build_nearest(self):
        with _card('Nearest training images', 'By the root mean square of the differences, in grey levels of 255.'):
            with ui.row().classes('items-center'):
                self._face = ui.select([], label='Of', on_change=lambda: self._nearest.clear()).classes('w-32')
                find = _button('Find', self._find_nearest)
            if isinstance(self._shown.reals, str):
                find.disable()
                ui.label(self._shown.reals)
            self._nearest = Picture('auto')

    @property
    def _generator(self):
        return self._shown.generators[self._time.value]

    def _file(self, what):
        return f'{what}-{name_of(self._generator.trained.path)}.png'

    async def _pick(self, seed):
        """Picks a face, or lets it go."""
        is_sum_of_picked = self._sum.value == _sum_of(self._picked)  # and not one that was written
        is_new = seed not in self._picked
        if is_new:
            self._picked.append(seed)
        else:
            self._picked.remove(seed)
        self._faces.mark(self._picked)
        self._picks.mark(self._picked)
        self._offer(is_new)
        if is_sum_of_picked:
            self._sum.value = _sum_of(self._picked)
            await asyncio.gather(self._show_picked(), self._draw_sum())
        else:
            await self._show_picked()

    def _offer(self, is_new):
        """Offers the picked faces where one is chosen; chooses the last where one is new, or the chosen one is gone."""
        texts = [str(seed) for seed in self._picked]  # a large seed is no number to a browser
        last, one_before = [*texts[::-1], None, None][:2]
        choices = [(self._start, one_before), (self._end, last if len(texts) > 1 else None), (self._face, last)]
        is_new = is_new or not all(choice.value in texts for choice, _ in choices)
        for choice, value in choices:
            choice.set_options(texts, value=value if is_new else choice.value)

    async def _turn(self, pages):
        """Goes on to as many other seeds, after those that are shown or before."""
        by = min(max(pages * len(self._seeds), -int(self._seeds.min())), LARGEST - int(self._seeds.max()))
        self._wanted.value = write_seeds(self._seeds + by)
        await self._draw_faces()

    async def _change_time(self):
        self._nearest.clear()
        await asyncio.gather(self._show_faces(), self._show_picked(), self._show_between(), self._show_sum())

    async def _draw_faces(self):
        with _answering(self._wanted):
            self._seeds = parse_seeds(self._wanted.value, MOST)
            await self._show_faces()

    async def _draw_sum(self):
        with _answering(self._sum):
            self._terms = parse_sum(self._sum.value, MOST) if self._sum.value.strip() else []
            await self._show_sum()

    async def _show_faces(self):
        time, generators = self._time.value, self._shown.generators
        nearest = sorted(range(len(generators)), key=lambda other: abs(other - time))
        await self._faces.show_faces(self._file('faces'), self._generator, self._seeds,
                                     math.ceil(math.sqrt(len(self._seeds))),
                                     ahead=[generators[other] for other in nearest[1:AHEAD + 1]])

    async def _show_picked(self):
        if not self._picked:
            self._picks.clear()
            return
        await self._picks.show_faces(self._file('picked'), self._generator, np.array(self._picked),
                                     min(len(self._picked), ACROSS))

    async def _show_between(self):
        start, end, percent = self._start.value, self._end.value, int(self._percent.value)
        if start is None or end is None:
            self._between.clear()
            return
        await self._between.show(self._file(f'between-{start}-{end}-{percent}'), functools.partial(
            draw.between, self._generator, int(start), int(end), percent))

    async def _show_sum(self):
        if not self._terms:
            self._result.clear()
            return
        await self._result.show(self._file('sum'), functools.partial(draw.result, self._generator, self._terms))

    async def _find_nearest(self):
        if self._face.value is None:
            ui.notify('Pick a face first.')
            return
        generator, reals, seeds = self._generator, self._shown.reals, np.array([int(self._face.value)])
        await self._nearest.show(self._file(f'nearest-{self._face.value}'), lambda: draw.neighbours(
            generator, seeds, reals.pack.images, reals.names, NEAREST)[0])


def _sum_of(seeds):
    return ' + '.join(map(str, seeds))


def _card(title, hint):
    card = ui.card().classes('w-full gap-2')
    with card:
        ui.label(title).classes('text-subtitle1 font-bold')
        ui.label(hint).classes('text-caption')
    return card


def _field(label, value, on_enter):
    return ui.input(label, value=value).classes('w-full').props('hide-bottom-space').on('keydown.enter', on_enter)


def _button(text, on_click):
    return ui.button(text, on_click=on_click).props('no-caps dense').classes('px-3')


@contextlib.contextmanager
def _answering(field):
    """Shows, under a field, why what it holds cannot be drawn."""
    field.error = None
    try:
        yield
    except RunError as error:
        field.error = str(error)
