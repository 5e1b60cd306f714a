"""Servers that lie about lengths, stall, change files: a line each, and no bad file is kept."""

import gzip
import hashlib
import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from rapidnet_mm.transfer import download
from rapidnet_mm.weights.download import cached_path
from rapidnet_mm.weights.read import read_checkpoint
from tests.messages import assert_says, refusal


def packed(value):
    buffer = io.BytesIO()
    torch.save({'weight': torch.full((5000,), float(value))}, buffer)
    return buffer.getvalue()


DATA, OTHER = packed(1), packed(2)
SIZE, HALF = len(DATA), len(DATA) // 2
PAGE = b'<html><body>Sign in</body></html>'


def head(answer, status=200, **headers):
    answer.send_response(status)
    for name, value in headers.items():
        answer.send_header(name.replace('_', '-'), str(value))
    answer.end_headers()


def send(answer, data, **headers):
    """A whole answer; a length is told only if it is named."""
    head(answer, **headers)
    answer.wfile.write(data)


def send_rest(answer, data, start, amount=None, told=None, **headers):
    """What a range asks for, or the whole; ``told`` is the length that is told."""
    told = told or len(data)
    headers['Content_Length'] = told - start
    if start:
        headers['Content_Range'] = f'bytes {start}-{told - 1}/{told}'
    head(answer, 206 if start else 200, **headers)
    answer.wfile.write(data[start:][:amount])


def chunked(*chunks):
    def answer(handler):
        send(handler, b''.join(chunks), Transfer_Encoding='chunked')

    return answer


def stall(answer, length=None):
    head(answer, **({'Content_Length': length} if length else {}))
    answer.wfile.write(DATA[:1000])
    answer.wfile.flush()
    time.sleep(1)


def redirected(target):
    return lambda answer: head(answer, 302, Location=target, Content_Length=0)


def changed(answer):
    """Half of a file for the first request, another file for those after it."""
    return (DATA, 0, HALF) if answer.number == 1 else (OTHER, answer.start)


# What a server does with a request, which has a number and a start; and what the line says, or
# the value in the file that arrives whole.
LIES = {
    'less': (lambda a: send(a, DATA, Content_Length=SIZE - 100), ('is cut off',)),
    'more': (
        lambda a: send_rest(a, DATA, a.start, told=SIZE + 100),
        (f'of {SIZE + 100} bytes', 'run again'),
    ),
    'immense': (lambda a: send_rest(a, DATA, a.start, told=10**15), (f'of {10**15} bytes',)),
    'negative': (lambda a: send(a, DATA, Content_Length=-5), 1),
    'words': (lambda a: send(a, DATA, Content_Length='many'), 1),
    'unknown': (lambda a: send(a, DATA), 1),
    'unknown and cut': (lambda a: send(a, DATA[:HALF]), ('is cut off',)),
    'chunks': (chunked(b'%x\r\n' % SIZE, DATA, b'\r\n0\r\n\r\n'), 1),
    'broken chunk': (chunked(b'%x\r\n' % SIZE, DATA[:HALF]), ('connection broke off',)),
    'missing chunk': (chunked(b'%x\r\n' % HALF, DATA[:HALF], b'\r\n'), ('connection broke off',)),
    'bad chunk': (chunked(b'zz\r\n', DATA), ('cannot be downloaded',)),
    'stall': (lambda a: stall(a, SIZE), (f'of {SIZE} bytes', 'run again')),
    'stall without a length': (lambda a: stall(a), ('timed out',)),
    'stall at once': (lambda _: time.sleep(1), ('timed out',)),
    'new tag': (
        lambda a: send_rest(a, *changed(a), ETag=a.number),
        2,
    ),
    'new date': (
        lambda a: send_rest(a, *changed(a), Last_Modified=a.number),
        2,
    ),
    'new file in silence': (
        lambda a: send_rest(a, *changed(a)),
        ('is damaged',),
    ),
    'new tag each time': (lambda a: send_rest(a, DATA, a.start, 500, ETag=a.number), ('500 of',)),
    'other range': (
        lambda a: send_rest(a, DATA, max(a.start - 10, 0), HALF),
        (f'of {SIZE} bytes', 'run again'),
    ),
    'range at once': (lambda a: send_rest(a, DATA, 5), ('a part of the file',)),
    'nonsense range': (
        lambda a: (head(a, 206, Content_Range='bytes x'), a.wfile.write(DATA)),
        ('a part of the file',),
    ),
    'no range at all': (lambda a: head(a, 416, Content_Length=0), ('416',)),
    'page': (lambda a: send(a, PAGE, Content_Length=len(PAGE)), ('is no checkpoint', 'html')),
    'nothing': (lambda a: head(a, 200, Content_Length=0), ('is empty',)),
    'no content': (lambda a: head(a, 204), ('is empty',)),
    'error': (lambda a: head(a, 500, Content_Length=0), ('500',)),
    'circle': (redirected('/circle/m.pth'), ('redirect', 'loop')),
    'local file': (redirected('file:///etc/passwd'), ('not allowed',)),
    'nowhere': (lambda a: head(a, 302, Content_Length=0), ('302',)),
    'gzip': (
        lambda a: send(a, gzip.compress(DATA), Content_Encoding='gzip'),
        ('encoded as gzip',),
    ),
    'rubbish': (lambda a: a.wfile.write(b'\x00\x1b[2J\r\n\r\n'), ('cannot be downloaded',)),
    'hang up': (lambda _: None, ('cannot be downloaded',)),
    'long header': (lambda a: head(a, X='x' * 99999), ('header',)),
}


@pytest.fixture
def url(tmp_path, monkeypatch):
    """Where a server answers ``/NAME/m.pth`` with the lie of that name."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def do_GET(self):
            self.close_connection = True
            requests.append(self.path)
            name = self.path.split('/')[1].replace('%20', ' ')
            asked = self.headers.get('Range')
            self.number, self.start = len(requests), int(asked[6:].rstrip('-')) if asked else 0
            LIES[name][0](self)

        def log_message(self, *_):
            pass

        def handle(self):
            try:
                super().handle()
            except OSError:  # the client has given up
                self.close_connection = True

    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(download, 'TIMEOUT', 0.2)
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
    thread.start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize('lie', LIES)
def test_a_lie_is_a_line_and_no_bad_file_is_kept(lie, url):
    expected, address = LIES[lie][1], f'{url}/{lie.replace(" ", "%20")}/m.pth'
    if isinstance(expected, int):
        assert read_checkpoint(address)['weight'].unique().tolist() == [expected]
        assert cached_path(address).read_bytes() in (DATA, OTHER)
        right = hashlib.sha256(DATA if expected == 1 else OTHER).hexdigest()
        assert read_checkpoint(address, sha256=right)
        line = refusal(lambda: read_checkpoint(address, sha256='0' * 64))
        assert_says(line, right, 'delete it')
        return
    for _ in range(2):  # the second begins with what the first has left
        line = refusal(read_checkpoint, address)
        assert_says(line, address, 'put it at')
        assert line.isprintable()
        assert not cached_path(address).exists()
        assert_says(line, *expected)
        if lie == 'new file in silence':
            break  # the server has one file now, and the next download is whole
