"""Pictures on the page: drawn in the background, shown, and downloaded as they are."""

import asyncio
import base64
import contextlib
import functools

import numpy as np
from nicegui import run, ui

from data.errors import DataError
from runtime.errors import RunError
from sampling.draw import face_grid
from sampling.pictures import png

MARK = '#ffb300'
PATIENCE = 0.5  # seconds, after which a spinner says that something is being drawn
KEPT = 64  # faces of a grid, at the most, that is drawn ahead and kept


class Picture:
    """A picture of the page, with a button that downloads it."""

    def __init__(self, width):
        """Makes its place, where there is nothing yet; ``width`` is in CSS."""
        self._wanted = None  # what show() was asked for last; None for nothing
        self._is_drawing = False
        self._name = self._content = None
        with ui.column().classes('gap-1 max-w-full').style(f'width: {width}') as self._place:
            self._image = ui.interactive_image(sanitize=False).classes('w-full')
            ui.button('Download', icon='download', on_click=self._download).props('flat dense no-caps size=sm')
        self._place.visible = False
        self._spinner = ui.spinner(size='lg')
        self._spinner.visible = False

    async def show(self, name, draw, then=None):
        """Shows another picture; of those asked for while one is drawn, only the last is drawn after it.

        Args:
          name: of the file that it is downloaded as.
          draw: called in a thread, returns the bytes of a PNG; what it may raise, a DataError or a RunError, is told.
          then: called once it is shown.
        """
        self._wanted = name, draw, then
        if self._is_drawing:
            return
        self._is_drawing = True
        try:
            await self._draw()
        finally:
            self._is_drawing = self._spinner.visible = False

    def clear(self):
        """Shows nothing."""
        self._wanted = None
        self._place.visible = False

    async def _draw(self):
        drawn = None
        while self._wanted not in (None, drawn):
            drawn = name, draw, then = self._wanted
            drawing = asyncio.ensure_future(run.io_bound(draw))
            await asyncio.wait([drawing], timeout=PATIENCE)
            self._spinner.visible = not drawing.done()
            try:
                content = await drawing
            except (DataError, RunError) as error:
                ui.notify(str(error), type='negative', multi_line=True, timeout=0, close_button='Close')
                continue
            if content is None or self._wanted is None:  # the script ends; cleared meanwhile
                break
            self._name, self._content = name, content
            self._image.set_source(f'data:image/png;base64,{base64.b64encode(content).decode()}')
            self._place.visible = True
            if then:
                then()

    def _download(self):
        ui.download.content(self._content, self._name, 'image/png')


class Faces(Picture):
    """A grid of the faces of seeds, each of which can be picked."""

    def __init__(self, width, on_pick):
        """Makes its place; ``on_pick`` takes the seed of a face that was clicked."""
        super().__init__(width)
        self._on_pick = on_pick
        self._picked, self._ahead, self._is_drawing_ahead = [], [], False
        self._lay_out((), 1, 1, [])
        self._image.style('cursor: pointer').on_mouse(self._on_click)

    async def show_faces(self, name, generator, seeds, columns, ahead=()):
        """Shows the faces of seeds.

        Args:
          name: as of ``show``.
          generator: a TrainedGenerator.
          seeds: int64 [n], n at least 1.
          columns: faces in a row.
          ahead: TrainedGenerators by which they are drawn afterwards, too, until others are wanted; then they can be
            shown at once.
        """
        seeds = tuple(seeds.tolist())
        grid = _kept_grid if len(seeds) <= KEPT else _grid
        others = [functools.partial(grid, other, seeds, columns) for other in ahead if grid is _kept_grid]
        self._ahead = []
        await self.show(name, functools.partial(grid, generator, seeds, columns),
                        functools.partial(self._lay_out, seeds, columns, generator.size, others))
        if self._is_drawing_ahead:
            return
        self._is_drawing_ahead = True
        try:
            while self._ahead:
                with contextlib.suppress(RunError):  # told when they are to be shown
                    await run.io_bound(self._ahead.pop(0))
        finally:
            self._is_drawing_ahead = False

    def mark(self, picked):
        """Frames the faces whose seeds are in a list, here and in what is shown later, and writes their seeds there."""
        self._picked, side, marks = list(picked), self._side, []
        for place in np.flatnonzero(np.isin(self._seeds, picked)):
            down, across = divmod(int(place), self._columns)
            x, y, seed = across * side, down * side, str(self._seeds[place])
            height = side * min(0.2, 1.5 / len(seed))
            marks.append(f'<rect x="{x + 1}" y="{y + 1}" width="{side - 2}" height="{side - 2}" fill="none" '
                         f'stroke="{MARK}" stroke-width="2"/><text x="{x + 3}" y="{y + side - 4}" fill="{MARK}" '
                         f'font-size="{height}" font-weight="bold" paint-order="stroke" stroke="black" '
                         f'stroke-width="{height / 8}">{seed}</text>')
        self._image.set_content(''.join(marks))

    def _lay_out(self, seeds, columns, side, ahead):
        """Takes note of what is shown: ``side`` is the height and width of a face, in pixels."""
        self._seeds, self._columns, self._side, self._ahead = seeds, columns, side, ahead
        self.mark(self._picked)

    def _on_click(self, event):
        place = int(event.image_y // self._side) * self._columns + int(event.image_x // self._side)
        if 0 <= place < len(self._seeds):
            return self._on_pick(self._seeds[place])
        return None


def _grid(generator, seeds, columns):
    return png(face_grid(generator, np.array(seeds), -(-len(seeds) // columns), columns))


_kept_grid = functools.lru_cache(maxsize=64)(_grid)  # 64 faces of 64x64 are 0.6 MB
