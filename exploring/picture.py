"""Pictures on the page: drawn in the background, shown, and downloaded as they are."""

import base64

import numpy as np
from nicegui import run, ui

from data.errors import DataError
from runtime.errors import RunError
from sampling.draw import face_grid
from sampling.pictures import png

MARK = '#ffb300'


class Picture:
    """A picture of the page, with a button that downloads it."""

    def __init__(self, width, on_click=None):
        """Makes its place, where there is nothing yet.

        Args:
          width: in CSS.
          on_click: takes the place of a click, x and y in pixels of the picture.
        """
        self._wanted = None
        self._is_drawing = False
        self._name = self._content = None
        with ui.column().classes('gap-1').style(f'width: {width}') as self._place:
            self._image = ui.interactive_image().classes('w-full')
            ui.button('Download', icon='download', on_click=self._download).props('flat dense no-caps size=sm')
        if on_click:
            self._image.on_mouse(lambda event: on_click(event.image_x, event.image_y))
            self._image.style('cursor: pointer')
        self._place.visible = False

    async def show(self, name, draw):
        """Shows another picture; of those asked for while one is drawn, only the last is drawn after it.

        Args:
          name: of the file that it is downloaded as.
          draw: called in a thread, returns the bytes of a PNG; what it may raise, a DataError or a RunError, is told.
        """
        self._wanted = name, draw
        if self._is_drawing:
            return
        self._is_drawing = True
        try:
            while self._wanted:
                (name, draw), self._wanted = self._wanted, None
                try:
                    self._name, self._content = name, await run.io_bound(draw)
                except (DataError, RunError) as error:
                    ui.notify(str(error), type='negative', multi_line=True, timeout=0, close_button='Close')
                    continue
                self._image.set_source(f'data:image/png;base64,{base64.b64encode(self._content).decode()}')
                self._place.visible = True
        finally:
            self._is_drawing = False

    def clear(self):
        """Shows nothing."""
        self._wanted = None
        self._place.visible = False

    def _download(self):
        ui.download.content(self._content, self._name, 'image/png')


class Faces(Picture):
    """A grid of the faces of seeds, each of which can be picked."""

    def __init__(self, width, on_pick):
        """Makes its place; ``on_pick`` takes the seed of a face that was clicked."""
        super().__init__(width, self._on_click)
        self._on_pick = on_pick
        self._seeds, self._columns, self._size = [], 1, 1

    async def show_faces(self, name, generator, seeds, columns):
        """Shows the faces of seeds, int64 [n], n at least 1, so many in a row; ``name`` as of ``show``."""
        self._seeds, self._columns, self._size = seeds.tolist(), columns, generator.size
        rows = -(-len(seeds) // columns)
        await self.show(name, lambda: png(face_grid(generator, seeds, rows, columns)))

    def mark(self, picked):
        """Frames the faces whose seeds are in a list, and writes their seeds into them."""
        side, marks = self._size, []
        for place in np.flatnonzero(np.isin(self._seeds, picked)):
            down, across = divmod(int(place), self._columns)
            x, y = across * side, down * side
            marks.append(f'<rect x="{x + 1}" y="{y + 1}" width="{side - 2}" height="{side - 2}" fill="none" '
                         f'stroke="{MARK}" stroke-width="2"/><text x="{x + 3}" y="{y + side - 4}" fill="{MARK}" '
                         f'font-size="{side / 5}" font-weight="bold">{self._seeds[place]}</text>')
        self._image.set_content(''.join(marks))

    def _on_click(self, x, y):
        place = int(y // self._size) * self._columns + int(x // self._size)
        if 0 <= place < len(self._seeds):
            return self._on_pick(self._seeds[place])
