"""A visitor of the page without a browser: HTTP and socket.io by polling."""

import html
import http.client
import json
import re
import secrets
from urllib.parse import urlencode

SOCKET = '/_nicegui_ws/socket.io/'
UPGRADE = {'Connection': 'Upgrade', 'Upgrade': 'websocket', 'Sec-WebSocket-Version': '13',
           'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA=='}


def ask(port, path='/', method='GET', body=None, **headers):
    """Sends a request; returns the status, headers and body of the answer. ``__`` in a name stands for ``-``."""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    try:
        connection.request(method, path, body, {name.replace('__', '-'): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode(errors='replace')
    finally:
        connection.close()


def upgrade(port, **headers):
    """Asks for a websocket; returns the status of the answer."""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    try:
        connection.request('GET', f'{SOCKET}?EIO=4&transport=websocket', headers={**UPGRADE, **headers})
        return connection.getresponse().status
    finally:
        connection.close()


class Visitor:
    """A page with its connection to the server; keeps what the server said of each element."""

    def __init__(self, port):
        """Opens the page and shakes hands."""
        self.port = port
        status, _, page = ask(port)
        assert status == 200, page
        written = re.search(r'parseElements\(String\.raw`(.*?)`\)', page, re.DOTALL)[1]
        self.elements = json.loads(html.unescape(written))
        self.client_id = re.search(r"'client_id': '([^']+)'", page)[1]
        self.said = []  # messages that are not about elements
        self._session = {'EIO': '4', 'transport': 'polling'}
        query = {'client_id': self.client_id, 'implicit_handshake': 'true', 'tab_id': secrets.token_hex(8),
                 'document_id': secrets.token_hex(8), 'next_message_id': '0'}
        answer = ask(port, f'{SOCKET}?{urlencode({**self._session, **query})}')[2]
        self._session['sid'] = json.loads(answer[1:])['sid']
        self.post('40')

    def post(self, *packets):
        """Sends packets of engine.io; returns the status of the answer."""
        return ask(self.port, f'{SOCKET}?{urlencode(self._session)}', 'POST', '\x1e'.join(packets))[0]

    def poll(self):
        """Waits for what the server says; returns the status of the answer."""
        status, _, answer = ask(self.port, f'{SOCKET}?{urlencode(self._session)}')
        for packet in answer.split('\x1e') if status == 200 else ():
            if packet == '2':  # a ping
                self.post('3')
            elif packet.startswith('42'):
                name, message = json.loads(packet[2:])
                if name == 'update':
                    self.elements.update({number: element for number, element in message.items() if number.isdigit()})
                else:
                    self.said.append((name, message))
        return status

    def until(self, condition):
        """Polls until a condition holds; returns its value."""
        while not (value := condition()):
            assert self.poll() == 200
        return value

    def find(self, **props):
        """Returns the number of the first element with these props; of several, that of the lowest number."""
        return next(number for number, element in sorted(self.elements.items(), key=lambda pair: int(pair[0]))
                    if element and props.items() <= element.get('props', {}).items())

    def props(self, number):
        return self.elements[number]['props']

    def send(self, number, event, *arguments):
        """Sends an event of an element; returns the status of the answer."""
        listener = next(one['listener_id'] for one in self.elements[number]['events'] if one['type'] == event)
        return self.post('42' + json.dumps(['event', {
            'id': int(number), 'client_id': self.client_id, 'listener_id': listener,
            'args': [json.dumps(argument) for argument in arguments]}]))

    def write(self, label, text):
        """Writes into a field and presses Enter; returns the field's number."""
        field = self.find(label=label)
        self.send(field, 'update:value', text)
        self.send(field, 'keydown', {'key': 'Enter'})
        return field

    def pictures(self):
        """Returns the numbers of the pictures: faces, picked, nearest, interpolation, sum, projection."""
        return sorted((number for number, element in self.elements.items() if element and 'sanitize' in element.get(
            'props', {})), key=int)

    def click(self, picture, x, y):
        """Clicks a picture at a place in pixels."""
        return self.send(picture, 'mouse', {'mouse_event_type': 'click', 'image_x': x, 'image_y': y})

    def upload(self, content, **headers):
        """Sends a photo, as the page's button does; returns the status of the answer."""
        return ask(self.port, self.upload_url, 'POST', content, **headers)[0]

    @property
    def upload_url(self):
        """Where the page takes photos."""
        [url] = [element['props']['url'] for element in self.elements.values()
                 if element and 'url' in element.get('props', {})]
        return url

    def leave(self):
        self.post('1')
