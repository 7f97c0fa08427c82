"""Pictures on the page: drawn in the background, shown, and downloaded."""

import asyncio
import base64
import contextlib
import functools

import numpy as np
from nicegui import run, ui

from dcgan.errors import UserError
from dcgan.sampling.draw import face_grid
from dcgan.sampling.pictures import png

MARK_COLOR = '#ffb300'
SPINNER_DELAY = 0.5  # seconds of drawing before a spinner appears
MAX_CACHED_FACES = 64  # of a grid; larger grids are neither cached nor drawn in advance


class Picture:
    """A picture on the page, with a button to download it."""

    def __init__(self, width):
        """Makes an empty place; ``width`` is a CSS length."""
        self._wanted = None  # the latest request of show(); None after clear()
        self._is_drawing = False
        self._name = self._content = None
        with ui.column().classes('gap-1 max-w-full').style(f'width: {width}') as self._place:
            self._image = ui.interactive_image(sanitize=False).classes('w-full')
            ui.button('Download', icon='download', on_click=self._download).props('flat dense no-caps size=sm')
        self._place.visible = False
        self._spinner = ui.spinner(size='lg')
        self._spinner.visible = False

    async def show(self, name, draw, then=None):
        """Draws and shows a picture. Of the requests that arrive while one is drawn, only the latest is drawn.

        Args:
          name: of the downloaded file.
          draw: called in a thread; returns the bytes of a PNG. A UserError is shown to the visitor.
          then: called once the picture is shown.
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
        """Removes the picture."""
        self._wanted = None
        self._place.visible = False

    async def _draw(self):
        drawn = None
        while self._wanted not in (None, drawn):
            drawn = name, draw, then = self._wanted
            drawing = asyncio.ensure_future(run.io_bound(draw))
            await asyncio.wait([drawing], timeout=SPINNER_DELAY)
            self._spinner.visible = not drawing.done()
            try:
                content = await drawing
            except UserError as error:
                ui.notify(str(error), type='negative', multi_line=True, timeout=0, close_button='Close')
                continue
            if content is None or self._wanted is None:  # the server stops; or clear() was called
                break
            self._name, self._content = name, content
            self._image.set_source(f'data:image/png;base64,{base64.b64encode(content).decode()}')
            self._place.visible = True
            if then:
                then()

    def _download(self):
        ui.download.content(self._content, self._name, 'image/png')


class Faces(Picture):
    """A grid of faces that can be picked by a click."""

    def __init__(self, width, on_pick):
        """Makes an empty place; ``on_pick`` is called with the seed of a clicked face."""
        super().__init__(width)
        self._on_pick = on_pick
        self._picked, self._prefetch, self._is_prefetching = [], [], False
        self._set_layout((), 1, 1, [])
        self._image.style('cursor: pointer').on_mouse(self._on_click)

    async def show_faces(self, name, generator, seeds, columns, prefetch=()):
        """Shows the faces of seeds.

        Args:
          name: as ``show`` takes it.
          generator: a TrainedGenerator.
          seeds: int64 [n], n at least 1.
          columns: faces in a row.
          prefetch: TrainedGenerators whose grids of these seeds are drawn and cached afterwards, until other seeds are
            shown.
        """
        seeds = tuple(seeds.tolist())
        grid = _cached_grid if len(seeds) <= MAX_CACHED_FACES else _grid
        others = [functools.partial(grid, other, seeds, columns) for other in prefetch if grid is _cached_grid]
        self._prefetch = []
        await self.show(name, functools.partial(grid, generator, seeds, columns),
                        functools.partial(self._set_layout, seeds, columns, generator.size, others))
        if self._is_prefetching:
            return
        self._is_prefetching = True
        try:
            while self._prefetch:
                with contextlib.suppress(UserError):  # show() reports it
                    await run.io_bound(self._prefetch.pop(0))
        finally:
            self._is_prefetching = False

    def mark(self, picked):
        """Frames the faces of the picked seeds, a list, and labels them; also in grids shown later."""
        self._picked, side, marks = list(picked), self._side, []
        for place in np.flatnonzero(np.isin(self._seeds, picked)):
            down, across = divmod(int(place), self._columns)
            x, y, seed = across * side, down * side, str(self._seeds[place])
            height = side * min(0.2, 1.5 / len(seed))
            marks.append(f'<rect x="{x + 1}" y="{y + 1}" width="{side - 2}" height="{side - 2}" fill="none" '
                         f'stroke="{MARK_COLOR}" stroke-width="2"/><text x="{x + 3}" y="{y + side - 4}" '
                         f'fill="{MARK_COLOR}" font-size="{height}" font-weight="bold" paint-order="stroke" '
                         f'stroke="black" stroke-width="{height / 8}">{seed}</text>')
        self._image.set_content(''.join(marks))

    def _set_layout(self, seeds, columns, side, prefetch):
        """Records the grid on the page; ``side`` is the height and width of a face, in pixels."""
        self._seeds, self._columns, self._side, self._prefetch = seeds, columns, side, prefetch
        self.mark(self._picked)

    def _on_click(self, event):
        place = int(event.image_y // self._side) * self._columns + int(event.image_x // self._side)
        if 0 <= place < len(self._seeds):
            return self._on_pick(self._seeds[place])
        return None


def _grid(generator, seeds, columns):
    return png(face_grid(generator, np.array(seeds), -(-len(seeds) // columns), columns))


_cached_grid = functools.lru_cache(maxsize=64)(_grid)  # 64 faces of 64x64 are 0.6 MB
