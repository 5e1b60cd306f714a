"""A server on this machine that imitates the hub of Hugging Face, and misbehaves as told."""

import hashlib
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.server import serving

CHUNK = 1000  # bytes that the client keeps of a broken answer at a time; the files are small
COMMIT = '0123456789abcdef0123456789abcdef01234567'


class Hub:
    """What is served, and how.

    Attributes:
        files: content by 'OWNER/REPO/resolve/REVISION/FILE'.
        status: answers every request with this status instead.
        breaks: how many more answers break off half-way.
        stalls: how many more answers say nothing for a while.
        served: content that is sent instead of the file that was announced.
        asked: method, path and range of every request, in order.
    """

    def __init__(self):
        self.files = {}
        self.status = self.served = None
        self.breaks = self.stalls = 0
        self.asked = []
        self.url = ''

    @property
    def sent(self):
        """The ranges of the requests for content; there are others, such as for statistics."""
        return [asked for method, path, asked in self.asked if method == 'GET' and '/res' in path]


def _handler(hub):
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            hub.asked.append(('HEAD', self.path, None))
            data = self.content()
            if data is None:
                return
            self.send_response(302)  # large files are on another host
            elsewhere = hub.url.replace('127.0.0.1', 'localhost')
            self.send_header('Location', f'{elsewhere}/elsewhere{self.path}')
            self.send_header('X-Repo-Commit', COMMIT)
            self.send_header('X-Linked-Size', str(len(data)))
            self.send_header('X-Linked-Etag', f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header('ETag', '"a pointer"')
            self.send_header('Content-Length', '0')
            self.end_headers()

        def do_GET(self):
            asked = self.headers.get('Range')
            hub.asked.append(('GET', self.path, asked))
            self.path = self.path.removeprefix('/elsewhere')
            data = self.content()
            if data is None:
                return
            if hub.stalls:
                hub.stalls -= 1
                time.sleep(1)
                return
            data = data if hub.served is None else hub.served
            start = int(asked[6:].rstrip('-')) if asked else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header('Content-Range', f'bytes {start}-{len(data) - 1}/{len(data)}')
            self.send_header('Content-Length', str(len(data) - start))
            self.end_headers()
            rest = data[start:]
            if hub.breaks:
                hub.breaks -= 1
                rest = rest[: len(rest) // 2]
            self.wfile.write(rest)

        def content(self):
            """The file that is asked for; None after an answer with an error."""
            data = hub.files.get(self.path.lstrip('/'))
            if data is not None and hub.status is None:
                return data
            repository = '/'.join(self.path.lstrip('/').split('/')[:2])
            known = any(name.startswith(repository) for name in hub.files)
            status = hub.status or (404 if known else 401)  # as the hub does it
            self.send_response(status)
            if status in (401, 404):
                code = 'EntryNotFound' if status == 404 else 'RepoNotFound'
                self.send_header('X-Error-Code', code)
            self.send_header('X-Repo-Commit', COMMIT)
            self.send_header('Content-Length', '0')
            self.end_headers()
            return None

        def log_message(self, *_):
            pass

    return Handler


@contextmanager
def hub_at(monkeypatch, cache):
    """A :class:`Hub` that huggingface_hub in this process takes for the real one."""
    from huggingface_hub import constants

    with serving(Hub, _handler) as hub:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.url)
        monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)
        monkeypatch.setattr(constants, 'ENDPOINT', hub.url)
        monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(cache))
        monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', False)
        monkeypatch.setattr(constants, 'DOWNLOAD_CHUNK_SIZE', CHUNK)
        yield hub
