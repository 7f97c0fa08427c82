"""What visitors may ask the page for, and what hostile ones achieve."""

import contextlib
import http.client
import json
import signal
import socket
import sys
import threading

import pytest

from dcgan.web.guard import MAX_CONNECTIONS, MAX_PAGES_OF_ADDRESS, is_host_name, is_path, own_names
from dcgan.web.messages import MAX_MESSAGE, is_valid
from dcgan.web.page import MAX_PICKED, MAX_TEXT
from dcgan.web.photos import MAX_PHOTO
from tests.commands import run_script
from tests.web.server import flags_of, free_port, launch
from tests.web.visitor import SOCKET, UPGRADE, Visitor, ask, upgrade

SEEDS, SUM = 'Seeds, e.g. 7,100-163', 'Sum, e.g. mean(7,9) - 3 + 20'  # labels of fields
SIZE = 16
POLL = f'{SOCKET}?EIO=4&transport=polling'

LINUX = pytest.mark.skipif(sys.platform != 'linux', reason='connects from 127.0.0.2')

FAKE = """
import sys, threading
from dcgan import cli
from dcgan.errors import UserError

class Generator:
    size = 16
    checkpoint = type('Checkpoint', (), {'label': 'step-7'})

    def images(self, points):
        print('drawing', flush=True)
        %s

def main():
    from dcgan.web.page import serve
    from dcgan.web.state import ExplorerState
    port = int(cli.FLAGS.port)
    %s
    print('page ', flush=True)
    serve(ExplorerState('fake', [Generator()], ['now'], None), '127.0.0.1', port, False)

cli.flags.DEFINE_integer('port', 0, '')
cli.run(main, '--port=1', interrupt_status=0)
"""


@pytest.fixture(scope='module')
def port(address):
    return int(address.rstrip('/').rpartition(':')[2])


@pytest.fixture(scope='module')
def proxied(run, serve):
    """The port of a server that listens everywhere, behind a proxy."""
    address, _ = serve(*flags_of(run), '--allowed_hosts=faces.example.org,other.example.org', '--root_path=/faces/',
                       host='0.0.0.0', path='/faces/')
    return int(address.rstrip('/').rpartition(':')[2])


@pytest.fixture(scope='module')
def fake():
    """Serves a generator whose drawing is a line of Python, after a command; returns the port and the process."""
    processes = []

    def fake(drawing, *before, setup='pass'):
        port = free_port()
        words = [*before, sys.executable, '-c', FAKE % (drawing, setup), f'--port={port}']
        processes.append(launch(words, port, 'page '))
        return port, processes[-1]

    yield fake
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope='module')
def failing(fake):
    """A server whose drawings fail; its port and the process."""
    return fake("raise UserError('cannot read /secret/place')")


@pytest.fixture
def visit(port):
    """Opens a page; it is left after the test."""
    visitors = []

    def visit(port=port):
        visitors.append(Visitor(port))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        with contextlib.suppress(OSError):
            visitor.leave()


def raw(port, request):
    """Sends bytes; returns the first line of the answer."""
    with socket.create_connection(('127.0.0.1', port), 30) as connection:
        connection.sendall(request)
        return connection.makefile('rb').readline().decode()


@pytest.mark.parametrize('host', ['127.0.0.1', '127.0.0.1:{port}', 'localhost', 'LOCALHOST:{port}', 'localhost:9000',
                                  '[::1]', '[::1]:{port}'])
def test_the_server_answers_to_its_own_names(port, host):
    assert ask(port, Host=host.format(port=port))[0] == 200


@pytest.mark.parametrize('host', [
    'evil.example', 'evil.example:{port}', 'localhost.evil.example', '127.0.0.1.evil.example', '127.0.0.2', '8.8.8.8',
    '0.0.0.0', '[::2]', 'localhost@evil.example', 'localhost:port', 'localhost:', 'localhost, evil.example', '', '*'])
def test_an_unknown_host_is_refused(port, host):
    host = host.format(port=port)
    for path in '/', POLL, '/favicon.ico':
        assert ask(port, path, Host=host)[0] == 400
    assert upgrade(port, Host=host) == 400


def test_no_host_and_two_hosts_are_refused(port):
    assert ' 400 ' in raw(port, b'GET / HTTP/1.0\r\n\r\n')
    assert ' 400 ' in raw(port, b'GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n')


@pytest.mark.parametrize('origin', ['http://evil.example', 'https://127.0.0.1.evil.example:{port}', 'null', 'file://',
                                    'http://127.0.0.1:1', 'http://127.0.0.1', 'http://localhost:{port}', '',
                                    'http://evil.example@127.0.0.1:{port}', 'chrome-extension://127.0.0.1:{port}'])
def test_a_foreign_origin_is_refused(port, visit, origin):
    origin = origin.format(port=port)
    assert ask(port, POLL, Origin=origin)[0] == 403
    assert ask(port, POLL, 'POST', '40', Origin=origin)[0] == 403
    assert ask(port, Origin=origin)[0] == 403
    assert upgrade(port, Origin=origin) == 403


def test_the_own_origin_is_answered(port):
    assert ask(port, POLL, Origin=f'http://127.0.0.1:{port}')[0] == 200
    assert upgrade(port, Origin=f'http://127.0.0.1:{port}') == 101
    assert upgrade(port, Origin='http://localhost:9000', Host='localhost:9000') == 101  # through a tunnel
    assert upgrade(port) == 101  # not a browser


def test_the_names_of_a_proxy_are_allowed_by_a_flag(proxied):
    for host in 'faces.example.org', 'other.example.org:8443', socket.gethostname(), 'localhost', '127.0.0.1':
        assert ask(proxied, Host=host)[0] == 200
    for host in 'example.org', 'x.faces.example.org', '8.8.8.8':
        assert ask(proxied, Host=host)[0] == 400
    assert upgrade(proxied, Origin='https://faces.example.org:8443') == 101  # the proxy sends its own Host
    assert upgrade(proxied, Origin='https://evil.example') == 403
    assert upgrade(proxied, Origin='https://evil.example', Host='faces.example.org') == 403


def test_the_root_path_is_part_of_all_addresses(proxied):
    for path in '/', '/faces', '/faces/':  # some proxies remove it
        page = ask(proxied, path)[2]
        assert '"/faces/_nicegui/' in page
        assert '"/_nicegui/' not in page
    script = f'/faces/_nicegui/{page.partition("/faces/_nicegui/")[2].partition(chr(34))[0]}'
    assert ask(proxied, script)[0] == 200
    assert ask(proxied, f'/faces{POLL}')[0] == 200
    assert ask(proxied, '/facesx')[0] == 404
    assert '"/faces/_nicegui/' in ask(proxied, X__Forwarded__Prefix='/other')[2]


@pytest.mark.parametrize('header', ['X__Forwarded__Prefix', 'X__ProxyContextPath'])
def test_the_prefix_of_a_proxy_is_part_of_all_addresses(port, header):
    for prefix in '/user/jane%40example.org/proxy/8080', '/a-b_c.d~e/':
        assert f'"{prefix.rstrip("/")}/_nicegui/' in ask(port, **{header: prefix})[2]


@pytest.mark.parametrize('prefix', [
    '//evil.example', 'https://evil.example', '/\\evil.example', '/"><script>alert(1)</script>', "/'", '/a b', '/..',
    '/a/../b', '/%', '/%zz', '/a//b', '/a?b', '/a#b', '/`', '/${x}', 'a', '/', '/' + 300 * 'a', '/a,/b'])
@pytest.mark.parametrize('header', ['X__Forwarded__Prefix', 'X__ProxyContextPath'])
def test_a_prefix_that_is_not_a_path_is_ignored(port, header, prefix):
    status = 503
    while status == 503:  # many pages were opened before
        status, _, page = ask(port, **{header: prefix})
    assert status == 200
    assert '"/_nicegui/' in page
    assert 'evil' not in page
    assert '<script>alert' not in page


def test_only_what_the_page_needs_is_answered(port):
    for path in ('/x', '/docs', '/openapi.json', '/_nicegui/', '/_nicegui_ws/', '/_nicegui/auto/static/x/y', '//',
                 '/../etc/passwd', '/picture/', '/picture/../x', '/picture/0123456789abcdef', '/%2e%2e/etc/passwd'):
        assert ask(port, path)[0] == 404, path
    for method in 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE':
        assert ask(port, '/', method)[0] == 405
    assert ask(port, POLL, 'PUT')[0] == 405
    assert ask(port, '/photo/0123456789abcdef', 'POST', b'x')[0] == 404
    assert ask(port, '/photo/0123456789abcdef')[0] == 404


@pytest.mark.parametrize('flag', ['--allowed_hosts=http://x', '--root_path=faces'])
def test_an_invalid_flag_is_explained(run, flag):
    done = run_script('explore.py', f'--port={free_port()}', '--nobrowser', *flags_of(run), flag)
    assert done.returncode == 1
    assert f'explore.py: invalid {"host name" if "hosts" in flag else "--root_path"}' in done.stderr
    assert 'Traceback' not in done.stderr


def test_names_of_hosts():
    assert all(map(is_host_name, ['faces.example.org', 'my_pc', '127.0.0.1', '::1']))
    assert not any(map(is_host_name, ['http://x', '*', 'abc:80', 'a b', '', '[::1]']))


def test_own_names():
    local = {'localhost', '127.0.0.1', '::1'}
    assert own_names('127.0.0.1') == own_names('Localhost') == own_names('::1') == local
    assert own_names('192.168.1.5') == {'192.168.1.5'}
    assert own_names('pc.example.org') == {'pc.example.org'}
    assert own_names('0.0.0.0') >= {'0.0.0.0', socket.gethostname().lower(), *local}
    assert own_names('::') >= {'::', socket.gethostname().lower(), *local}


def test_is_path_takes_time_linear_in_the_length():
    assert is_path('/user/x/proxy/8080')
    assert not any(map(is_path, ['faces', '//x', '/../x']))
    for text in 10 ** 6 * '/a', 10 ** 6 * 'a', '/' + 10 ** 6 * '%':
        assert not is_path(text)


def test_a_page_tells_no_paths(port, run, visit):
    visitor = visit()
    written = json.dumps([visitor.elements, ask(port)[2], [str(ask(port, path)[1:]) for path in ('/x', '/picture/0')]])
    assert str(run.parent) not in written
    assert 'DCGAN faces: run' in written


def test_a_picture_that_cannot_be_drawn_is_reported_to_the_log_only(failing, visit):
    port, process = failing
    visitor = visit(port)
    notification = visitor.until(lambda: next((message for name, message in visitor.said if name == 'notify'), None))
    assert 'could not draw this picture' in notification['message']
    assert 'secret' not in json.dumps([visitor.elements, visitor.said])
    assert [process.stdout.readline() for _ in range(2)] == [
        'drawing\n', 'cannot draw a picture: cannot read /secret/place\n']


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_server_while_something_is_drawn(fake, visit, number):
    port, process = fake('threading.Event().wait()')
    visit(port)
    assert process.stdout.readline() == 'drawing\n'
    with socket.create_connection(('127.0.0.1', port)):  # sends nothing
        process.send_signal(number)
        process.communicate(timeout=10)
    assert process.returncode == (0 if number == signal.SIGINT else 128 + number)


def test_a_signal_that_the_shell_ignores_does_not_stop_the_server(fake):
    port, process = fake('pass', 'sh', '-c', 'trap "" INT HUP; exec "$@"', 'sh')
    for number in signal.SIGINT, signal.SIGHUP:
        process.send_signal(number)
        assert ask(port)[0] == 200
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 143


@pytest.mark.parametrize(('field', 'text'), [
    (SUM, 60000 * ' ' + 'x'), (SUM, 30000 * '1+'), (SUM, 10000 * 'mean('), (SEEDS, 30000 * '1,'), (SEEDS, 60000 * '9'),
    (SEEDS, (MAX_TEXT + 1) * ' ')])
def test_a_long_text_is_refused(visit, field, text):
    visitor = visit()
    number = visitor.write(field, text)
    said = visitor.until(lambda: visitor.props(number).get('error-message'))
    assert said == f'the text has {len(text):,} characters; the limit is {MAX_TEXT:,}'
    assert visitor.props(visitor.pictures()[0]).get('src') is not None


@pytest.mark.parametrize('field', [SUM, SEEDS])
def test_a_text_of_the_length_limit_is_parsed(visit, field):
    visitor = visit()
    number = visitor.write(field, (MAX_TEXT - 1) * ' ' + 'x')
    assert 'invalid' in visitor.until(lambda: visitor.props(number).get('error-message'))


JUNK = [None, True, -1, 1e308, 'x', '9' * 4000, [[[]]], {}, {'value': 99}, {'value': 'x'}, {'value': []},
        {'image_x': 1e308, 'image_y': -1e308}, {'image_x': 'x', 'image_y': None}, {'image_x': []}]
JUNK_PACKETS = ['', '4', '9', '42', '42{', '42[]', '42["event"]', '42[{},{}]', '42["event",null]', '42["event",{}]',
                '42["unknown",{}]', '42["connect",{}]', '42["disconnect",{}]', '42["event",{},{}]', 'x', 'b!', 'bAAAA',
                '451-["event",{"_placeholder":true,"num":0}]', 'bAAAA', '40/x,', '44{}', '43[]', '4' + 5000 * '[',
                '42' + 5000 * '9', '47[]', '0', '5']


def junk_of(visitor):
    """Returns packets that no browser sends: junk for each element, and messages with wrong fields."""
    client = {'client_id': visitor.client_id}
    event = {**client, 'id': 0, 'listener_id': 'x', 'args': []}
    messages = [('event', {**event, 'id': int(number), 'listener_id': one['listener_id'], 'args': [json.dumps(junk)]})
                for number, element in visitor.elements.items() for one in element.get('events', ())
                for junk in JUNK]
    messages += [('event', {**event, **wrong}) for wrong in (
        {}, {'id': 'x'}, {'id': []}, {'id': 10 ** 9}, {'args': ['{']}, {'args': [[]]}, {'args': {}})]
    messages += [('ack', {**client, 'next_message_id': 'x'}), ('javascript_response', client),
                 ('handshake', {**client, 'tab_id': 'x', 'document_id': 'x', 'next_message_id': 'x'}),
                 ('log', {**client, 'level': 'error', 'message': 'forged'})]
    return [*(f'42{json.dumps(message)}' for message in messages), *JUNK_PACKETS]


def test_junk_from_a_visitor_changes_nothing_for_others(fake):
    port, process = fake('import numpy; return numpy.zeros([len(points), 16, 16, 3], numpy.uint8)',
                         setup='from dcgan.web import guard; guard.POST_TIMEOUT = 0.5')
    hostile = Visitor(port)
    packets = junk_of(hostile)
    for start in range(0, len(packets), 10):
        hostile.post(*packets[start:start + 10])
    for packet in JUNK_PACKETS:
        Visitor(port).post(packet)
    for number in 'x', '-1', 5000 * '9':
        ask(port, f'{POLL}&implicit_handshake=true&client_id={hostile.client_id}&tab_id=x&document_id=x'
                  f'&next_message_id={number}')
    other = Visitor(port)
    other.until(lambda: other.props(other.pictures()[0]).get('src'))
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert 'Traceback' not in output
    assert 'forged' not in output


def frame(text):
    """Returns a frame of a websocket, as a browser sends it; the text has less than 64 KiB."""
    content = text.encode()
    length = bytes([128 + 126]) + len(content).to_bytes(2, 'big') if len(content) > 125 else bytes([128 + len(content)])
    return b'\x81' + length + bytes(4) + content  # the mask is 0


@pytest.mark.parametrize('kind', ['messages', 'pings', 'closing'])
def test_a_flood_from_a_visitor_does_not_keep_others_waiting(port, visit, kind):
    hostile, other = visit(), visit()
    field = hostile.find(label=SUM)
    listeners = {one['type']: one['listener_id'] for one in hostile.elements[field]['events']}
    message = {'id': int(field), 'client_id': hostile.client_id}
    texts = ['42' + json.dumps(['event', {**message, 'listener_id': listeners[event], 'args': [json.dumps(value)]}])
             for event, value in (('update:value', 600 * '1 + '), ('keydown', {'key': 'Enter'}))]
    flood = {'messages': b''.join(map(frame, ['40', *1000 * texts])), 'pings': 10000 * b'\x89\x80\0\0\0\0',
             'closing': 1000 * (frame('41') + frame('1') + 100 * frame('x'))}[kind]
    with contextlib.closing(http.client.HTTPConnection('127.0.0.1', port)) as connection:
        connection.request('GET', f'{SOCKET}?EIO=4&transport=websocket&client_id={hostile.client_id}', headers=UPGRADE)
        assert connection.getresponse().status == 101
        connection.sock.settimeout(30)
        thread = threading.Thread(target=send_until_closed, args=(connection.sock, flood))
        thread.start()
        faces = other.pictures()[0]
        for number in range(20):
            old = other.props(faces).get('src')
            other.write(SEEDS, str(number))
            other.until(lambda old=old: other.props(faces).get('src') != old)
        with contextlib.suppress(OSError):  # the server may have closed it
            connection.sock.shutdown(socket.SHUT_RDWR)
        thread.join()


def send_until_closed(connection, content):
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(content)


def test_a_message_above_the_limit_is_refused(visit):
    visitor = visit()
    assert visitor.post('42' + json.dumps(['event', {'x': MAX_MESSAGE * 'x'}])) == 413
    assert visitor.post('3') == 200


def test_a_body_of_unknown_length_is_refused(visit):
    visitor = visit()
    assert ask(visitor.port, POLL, 'POST', iter([b'40']), Transfer__Encoding='chunked')[0] == 411
    assert visitor.upload(iter([b'x']), Transfer__Encoding='chunked') == 411


def test_a_photo_above_the_limit_is_refused(visit):
    visitor = visit()
    assert ' 413 ' in raw(visitor.port, f'POST {visitor.upload_url} HTTP/1.1\r\nHost: localhost\r\nContent-Length: '
                                        f'{MAX_PHOTO + 1}\r\n\r\n'.encode())


def test_a_photo_from_another_site_is_refused(visit):
    assert visit().upload(b'x', Origin='https://evil.example') == 403


@pytest.mark.parametrize(('content', 'sentence'), [
    (b'', 'This photo cannot be used: the file is empty.'),
    (MAX_PHOTO * b'x', 'This photo cannot be used: the file is not an image that Pillow reads')])
def test_what_is_no_photo_gets_a_sentence(visit, content, sentence):
    visitor = visit()
    assert visitor.upload(content) == 200
    visitor.until(lambda: any(sentence in str(message) for _, message in visitor.said))
    assert not visitor.props(visitor.pictures()[5]).get('src')


def test_long_headers_are_refused(port):
    assert ' 400 ' in raw(port, b'GET / HTTP/1.1\r\nHost: localhost\r\nX: ' + 10 ** 6 * b'x')


@pytest.mark.parametrize('data', ['42["event",{"client_id":"x","id":1,"listener_id":"y","args":[]}]', '40', '41',
                                  '42["ack",{"client_id":"x","next_message_id":1}]'])
def test_messages_of_browsers_are_valid(data):
    assert is_valid(data[1:])


def test_the_number_of_picked_faces_is_limited(visit):
    visitor = visit()
    faces, picked = visitor.pictures()[:2]
    visitor.until(lambda: visitor.props(faces).get('src'))
    visitor.write(SEEDS, '0-255')
    visitor.until(lambda: 'v=2' in visitor.props(faces)['src'])
    for place in range(MAX_PICKED + 5):
        visitor.click(faces, place % 16 * SIZE + 1, place // 16 * SIZE + 1)
    visitor.until(lambda: any(f'{MAX_PICKED} faces are picked' in str(message) for _, message in visitor.said))
    assert visitor.props(picked)['content'].count('<rect') == MAX_PICKED


def test_a_click_beside_the_faces_picks_none(visit):
    visitor = visit()
    faces = visitor.pictures()[0]
    visitor.until(lambda: visitor.props(faces).get('src'))
    for x, y in (-1, 17), (8 * SIZE, 0), (0, 8 * SIZE), (1e300, 0), (0, -1e300):
        visitor.click(faces, x, y)
    visitor.click(faces, 1, 1)
    visitor.until(lambda: '<rect' in visitor.props(faces)['content'])
    assert visitor.props(faces)['content'].count('<rect') == 1


def test_too_many_faces_are_refused(visit):
    visitor = visit()
    number = visitor.write(SEEDS, '0-256')
    assert 'names more than 256 seeds' in visitor.until(lambda: visitor.props(number).get('error-message'))


def test_too_many_visitors_get_a_sentence_until_one_leaves(failing):
    port, _ = failing
    visitors = [Visitor(port) for _ in range(MAX_PAGES_OF_ADDRESS)]
    status, _, sentence = ask(port)
    assert status == 503
    assert sentence == 'There are too many visitors. Try again in a minute.\n'
    for visitor in visitors[:-1]:
        visitor.leave()
    while ask(port)[0] == 503:
        visitors[-1].poll()


def test_the_picture_of_a_visitor_who_left_is_gone(visit):
    one, other = visit(), visit()
    url = one.until(lambda: one.props(one.pictures()[0]).get('src'))
    assert ask(one.port, url)[1]['Content-Type'] == 'image/png'
    one.leave()
    while ask(other.port, url)[0] == 200:
        other.poll()


@LINUX
def test_connections_that_send_no_request_keep_no_one_out(port):
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            connection = stack.enter_context(socket.create_connection(('127.0.0.1', port), 30, ('127.0.0.2', 0)))
            connection.sendall(b'GET / HTTP/1.1\r\nHost: ')  # and no more
        surplus = stack.enter_context(socket.create_connection(('127.0.0.1', port), 5, ('127.0.0.2', 0)))
        read_until_closed(surplus)
        assert ask(port, '/favicon.ico')[0] == 200


def test_a_connection_without_a_request_is_closed_after_a_while(fake):
    port, _ = fake('pass', setup='from dcgan.web import guard; guard.REQUEST_TIMEOUT = 0.1')
    for sent in (b'', b'GET / HTTP/1.1\r\nHost: ',
                 b'GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\n'):
        with socket.create_connection(('127.0.0.1', port), 30) as connection:
            connection.sendall(sent)
            read_until_closed(connection)


def read_until_closed(connection):
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(1 << 16):
            pass
