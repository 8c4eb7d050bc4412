"""A receiver of webhooks that verifies their signature and can be told to fail."""

import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


class Receiver:
    """Listens on a free port of the loopback interface until the program ends."""

    def __init__(self, secret):
        self.secret = secret.encode()
        self.received = []
        self.failing = set()
        receiver = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(receiver.take(self.headers, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}/hook"

    def take(self, headers, body):
        """Keeps a delivery and returns the status to answer with."""
        event = headers["X-GitHub-Event"]
        expected = "sha256=" + hmac.new(self.secret, body, hashlib.sha256).hexdigest()
        is_form = headers["Content-Type"].startswith("application/x-www-form-urlencoded")
        text = parse_qs(body.decode())["payload"][0] if is_form else body.decode()
        status = 500 if event in self.failing else 202
        self.failing.discard(event)
        delivery = {
            "id": headers["X-GitHub-Delivery"],
            "event": event,
            "is_form": is_form,
            "verified": hmac.compare_digest(headers.get("X-Hub-Signature-256", ""), expected),
            "payload": json.loads(text),
            "answered": status,
        }
        self.received.append(delivery)
        return status

    def fail_next(self, event):
        self.failing.add(event)

    def find(self, event, fits=lambda payload: True):
        """Returns the first delivery of an event that fits, if it has come."""
        return next((d for d in list(self.received) if d["event"] == event and fits(d["payload"])), None)
