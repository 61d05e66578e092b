"""A target that says back what it hears in several forms, and keeps it; it also gives tokens (OAuth 2, client credentials). It prints
its port. What begins with /_ is for the tests, which ask it directly."""

import base64
import html
import http.server
import json
import os
from urllib.parse import parse_qsl, quote, quote_plus

EXPIRES_IN = os.environ.get("EXPIRES_IN")
WANTS_TOKEN = "WANTS_TOKEN" in os.environ
heard, asked, good = [], [], set()
broken = False


def shown(fields, path):
    """All by which somebody may have proved themselves, as it came and taken apart."""
    for name, value in fields:
        if name in ("authorization", "x-api-key"):
            yield value
            yield value.removeprefix("Bearer ").removeprefix("Basic ")
            try:
                yield base64.b64decode(value.removeprefix("Basic "), validate=True).decode()
            except ValueError:
                pass
    query = path.partition("?")[2]
    yield query
    for _, value in parse_qsl(query):
        yield value


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, body, content_type="application/json", status=200, fields=()):
        self.send_response(status)
        self.send_header("content-type", content_type)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def token(self, body):
        asked.append(dict(parse_qsl(body)))
        if broken:
            return self.send(b'{"error": "temporarily_unavailable"}', status=503)
        token = f"token-{len(asked)}-is-the-gateways-own"
        good.add(token)
        given = {"access_token": token, "token_type": "Bearer"}
        if EXPIRES_IN:
            given["expires_in"] = int(EXPIRES_IN)
        self.send(json.dumps(given).encode())

    def echo(self, fields, body):
        said = list(dict.fromkeys(shown(fields, self.path)))
        coded = [base64.b64encode(value.encode()).decode() for value in said]
        in_address = [quote_plus(value) for value in said]
        match self.headers.get("x-as", "json"):
            case "text":
                self.send("\n".join([*said, *coded, *in_address]).encode(), "text/plain")
            case "xml":
                lines = [f'<a said="{html.escape(value)}">{html.escape(value)}</a>' for value in said]
                self.send("\n".join(["<all>", *lines, "</all>"]).encode(), "application/xml")
            case "bytes":
                self.send(b"\0\xff".join(value.encode() for value in [*said, *coded]), "application/octet-stream")
            case "head":
                head = [(f"x-said-{at}", value) for at, value in enumerate([*said, *coded])]
                self.send(b"{}", fields=[*head, ("location", f"/next?{'&'.join(in_address)}")])
            case "name":
                # As the names of fields before the answer, in its head and behind its body.
                named = "".join(f"{value}: 1\r\n" for value in said if value.replace("-", "").isalnum())
                self.wfile.write(f"HTTP/1.1 103 Early Hints\r\nx-before: 1\r\n{named}\r\n".encode())
                head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\ntrailer: x-behind\r\n"
                self.wfile.write(f"{head}{named}\r\n5\r\nhello\r\n0\r\nx-behind: 1\r\n{named}\r\n".encode())
            case "address":
                # What is escaped already is another text.
                plain = [value for value in said if "%" not in value]
                lines = [line for value in plain for line in (quote(value), quote(value, safe=""), quote_plus(value))]
                self.send("\n".join(lines).encode(), "text/plain")
            case _:
                told = {"path": self.path, "fields": fields, "body": body, "said": said, "coded": coded, "address": in_address}
                self.send(json.dumps(told).encode())

    def handle_all(self):
        global broken
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode("latin-1")
        match self.path:
            case "/token":
                return self.token(body)
            case "/_heard":
                return self.send(json.dumps({"heard": heard, "asked": asked}).encode())
            case "/_forget":
                good.clear()
                return self.send(b"{}")
            case "/_break":
                broken = True
                return self.send(b"{}")
        fields = [(name.lower(), value) for name, value in self.headers.items()]
        heard.append({"method": self.command, "path": self.path, "fields": fields, "body": body})
        if WANTS_TOKEN and self.headers.get("authorization", "").removeprefix("Bearer ") not in good:
            said = [("www-authenticate", 'Bearer error="invalid_token"')]
            return self.send(b'{"error": "the token is not good"}', status=401, fields=said)
        self.echo(fields, body)

    do_GET = do_POST = do_PUT = do_DELETE = handle_all


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
