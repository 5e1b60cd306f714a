"""A web server on this machine that behaves, or misbehaves, as told."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What is served, and how.

    Attributes:
        files: content by path.
        ranges: whether parts can be asked for.
        lengths: whether the length is told.
        tags: whether the version is told.
        vague: whether the answer to a range does not tell how long the whole is.
        breaks: how many more answers break off half-way.
        asked: the paths and ranges that were asked for, in order.
    """

    def __init__(self):
        self.files = {}
        self.ranges = self.lengths = self.tags = True
        self.vague = False
        self.breaks = 0
        self.asked = []
        self.url = ''


def _handler(site):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get('Range')
            site.asked.append((self.path, asked))
            data = site.files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            start = int(asked[6:].rstrip('-')) if asked and site.ranges else 0
            if start and start >= len(data):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                whole = '*' if site.vague else len(data)
                self.send_header('Content-Range', f'bytes {start}-{len(data) - 1}/{whole}')
            if site.lengths:
                self.send_header('Content-Length', str(len(data) - start))
            if site.tags:
                self.send_header('ETag', f'"{hash(data)}"')
            self.end_headers()
            rest = data[start:]
            if site.breaks:
                site.breaks -= 1
                rest = rest[: len(rest) // 2]
            self.wfile.write(rest)

        def log_message(self, *_):
            pass

    return Handler


@contextmanager
def serving(kind=Site, handler=_handler):
    """A :class:`Site` that answers at ``site.url`` until the end of the block."""
    site = kind()
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler(site))
    site.url = f'http://127.0.0.1:{server.server_port}'
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
