"""The page: faces, interpolations, sums, films, nearest training images, the face nearest to a photo."""

import functools
from pathlib import Path

import gradio as gr

from dcgan.web.actions import FIELDS, FILM_SUFFIXES, FIRST_SEEDS, PHOTO, Actions

EXAMPLE_PHOTO = Path(__file__).parents[2] / 'docs' / 'example_photo.png'
SCRIPT = Path(__file__).with_name('page.js')
MODEL = {'concurrency_id': 'model', 'concurrency_limit': 1}
HIDDEN = {'api_visibility': 'private', 'api_name': 'hidden'}  # a name, so that it takes none of the public ones


def build_page(explorer):
    """Returns the page of an Explorer, a gr.Blocks; what a visitor sees is in its fields and in the address."""
    actions, last = Actions(explorer), len(explorer.steps) - 1
    title = f'DCGAN faces: {explorer.name}'
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(3600, 3600)) as page:  # seconds
        photo = gr.State()  # the SavedLatent nearest to the visitor's photo
        gr.Markdown(f'# {title}')
        with gr.Row():
            at = gr.Slider(0, max(last, 1), explorer.newest, step=1, label='Checkpoint', visible=last > 0, buttons=[])
            weights = gr.Radio([({'ema': 'averaged', 'trained': 'as trained'}[one], one) for one in explorer.weights],
                               value=explorer.weights[0], label='Weights', visible=len(explorer.weights) > 1)
        moment = gr.Markdown()
        with gr.Row():
            with gr.Column():
                gr.Markdown('## Faces\nThe number is the seed. Choose a face to pick it; again, to remove it.')
                seeds = gr.Textbox(FIRST_SEEDS, label='Seeds, e.g. 7,100-163')
                with gr.Row(elem_id='turns'):
                    show = gr.Button('Draw', variant='primary')
                    turns = [(gr.Button(name), pages) for name, pages in (('Random', 0), ('Previous', -1), ('Next', 1))]
                faces = _gallery('Faces', 'faces', show_label=False, allow_preview=False, buttons=[])
                grid = gr.DownloadButton('Download these faces')
            with gr.Column():
                gr.Markdown('## Picked faces\nChoose one to enlarge it.')
                picked = gr.Textbox(label='Picked seeds, e.g. 7,12')
                status = gr.Markdown(elem_id='status')
                clear = gr.Button('Clear')
                picks = _gallery('Picked faces', 'picks', columns=6)
                with gr.Tab('Interpolation'):
                    start = gr.Textbox(label='From', placeholder='the last but one picked')
                    end = gr.Textbox(label='To', placeholder='the last one picked')
                    percent = gr.Slider(0, 100, 50, step=1, label='Percent of the way', buttons=[])
                    between = _image('Face between')
                with gr.Tab('Sum'):
                    total = gr.Textbox(label='Sum, e.g. mean(7,9) - 3 + 20', placeholder='the mean of the picked faces')
                    add = gr.Button('Add up')
                    result = _image('Result')
                with gr.Tab('Film'):
                    subject = gr.Radio(['picked', 'training'], value='picked', label='Shows', visible=last > 0)
                    play = gr.Button('Play')
                    film = (gr.Video(label='Film', autoplay=True, loop=True, height=320)
                            if '.mp4' in FILM_SUFFIXES else _image('Film', type='filepath'))
                    files = gr.File(label='Download', interactive=False)
                with gr.Tab('Nearest images'):
                    face = gr.Textbox(label='Face', placeholder='the last one picked')
                    find = gr.Button('Find')
                    nearest = _image('The face and the nearest training images')
                    distances = gr.Textbox(label='Root mean square differences in gray levels (0 to 255)')
                with gr.Tab('Photo'):
                    gr.Markdown(f'Crop the photo to a face. From, To and Face take the face found as *{PHOTO}*.')
                    upload = gr.File(label='Photo, at most 8 MB', file_types=['image'], type='binary')
                    example = gr.Button('Example photo')
                    projection = _image('The photo and the nearest face')
                    latent = gr.DownloadButton('Download its latent', visible=False)

        view = [seeds, picked, start, end, total, face, at, weights]
        write_address = f'(...values) => writeAddress({FIELDS}, {[step or 0 for step in explorer.steps]}, values)'

        def then(event, *pieces):
            for piece in pieces:
                event = event.then(*piece, trigger_mode='always_last', show_progress='minimal', **HIDDEN, **MODEL)
            event.then(None, view, js=write_address, **HIDDEN)

        show_faces = actions.faces, [seeds, at, weights], [faces, grid, moment]
        show_picks = actions.picked, [picked, at, weights], picks
        show_between = actions.between, [start, end, percent, picked, photo, at, weights], between
        show_result = actions.result, [total, picked, at, weights], result
        of_picks = show_picks, show_between, show_result
        then(page.load(actions.read_address, None, view, js=SCRIPT.read_text(), **HIDDEN), show_faces, *of_picks)
        then(gr.on([at.input, weights.input], *show_faces, trigger_mode='always_last', **HIDDEN, **MODEL), *of_picks)
        then(gr.on([show.click, seeds.submit], *show_faces, api_name='faces', **MODEL))
        for button, pages in turns:
            then(button.click(functools.partial(actions.turn, pages), seeds, seeds, **HIDDEN), show_faces)
        then(faces.select(actions.pick, picked, [picked, faces, status], queue=False, **HIDDEN), *of_picks)
        then(clear.click(lambda: ('', 'Picked: 0.'), None, [picked, status], **HIDDEN), *of_picks)
        then(picked.submit(*show_picks, api_name='picked', **MODEL), show_between, show_result)
        then(gr.on([start.submit, end.submit], *show_between, api_name='between', **MODEL))
        percent.input(*show_between, trigger_mode='always_last', show_progress='hidden', **HIDDEN, **MODEL)
        then(gr.on([add.click, total.submit], *show_result, api_name='sum', **MODEL))
        play.click(actions.film, [subject, picked, seeds, at, weights], [film, files], api_name='film', **MODEL)
        then(gr.on([find.click, face.submit], actions.nearest, [face, picked, photo, at, weights],
                   [nearest, distances], api_name='nearest', **MODEL))
        example.click(lambda: str(EXAMPLE_PHOTO), None, upload, **HIDDEN)
        upload.change(actions.project, [upload, at, weights], [projection, latent, photo], api_name='project', **MODEL)
    return page.queue(max_size=32)


def _gallery(label, name, **settings):
    return gr.Gallery(label=label, elem_id=name, format='png', interactive=False, height='auto',
                      **{'buttons': ['download', 'fullscreen'], **settings})


def _image(label, **settings):
    return gr.Image(label=label, format='png', interactive=False, height=240, buttons=['download', 'fullscreen'],
                    **settings)
