"""A mail server for the tests: prints its port, then each message that it takes as a line of JSON.

The first REFUSED messages it does not take. With CERTIFICATE and KEY it speaks TLS, from the first byte or by STARTTLS as BEGINNING
says, and takes mail of USER with PASSWORD alone.
"""

import asyncio
import json
import os
import ssl

from aiosmtpd.smtp import SMTP, AuthResult


class Desk:
    def __init__(self):
        self.refused = int(os.environ.get("REFUSED", "0"))

    async def handle_DATA(self, server, session, envelope):
        if self.refused > 0:
            self.refused -= 1
            return "451 come again"
        message = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "content": envelope.content.decode()}
        print(json.dumps(message), flush=True)
        return "250 taken"


def check(server, session, envelope, mechanism, auth_data):
    known = (os.environ["USER"].encode(), os.environ["PASSWORD"].encode())
    return AuthResult(success=(auth_data.login, auth_data.password) == known, handled=False)


async def main():
    desk, tls, options = Desk(), None, {}
    if "CERTIFICATE" in os.environ:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(os.environ["CERTIFICATE"], os.environ["KEY"])
        options = {"authenticator": check, "auth_required": True, "auth_require_tls": False}
        if os.environ["BEGINNING"] == "starttls":
            options |= {"tls_context": tls, "require_starttls": True, "auth_require_tls": True}
            tls = None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(desk, loop=loop, **options), "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
