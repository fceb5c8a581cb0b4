"""TLS that is verified, on gevent's sockets."""

from functools import lru_cache

import gevent.ssl


@lru_cache(maxsize=8)
def client_context(authorities: str | None = None) -> gevent.ssl.SSLContext:
    """Return a context that verifies the server's certificate and name; shared, since reading authorities takes long.

    It trusts the machine's authorities (`SSL_CERT_FILE` adds to them, as OpenSSL has it), or those in the PEM file
    `authorities`. `gevent.ssl.create_default_context` would give the standard library's sockets, which block every
    greenlet, in a process that is not monkey-patched.
    """
    context = gevent.ssl.SSLContext(gevent.ssl.PROTOCOL_TLS_CLIENT)  # checks names and requires certificates
    if authorities is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(authorities)
    return context
