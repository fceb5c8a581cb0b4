"""TLS that is verified, on gevent's sockets."""

from functools import lru_cache

import gevent.ssl


@lru_cache(maxsize=8)
def client_context(
    authorities: str | None = None, certificate: str | None = None, key: str | None = None
) -> gevent.ssl.SSLContext:
    """Return a context that verifies the server's certificate and name; shared, since reading authorities takes long.

    It trusts the machine's authorities (`SSL_CERT_FILE` adds to them, as OpenSSL has it), or those in the PEM file
    `authorities`; `certificate` and `key` are the client's own. Raises OSError for files that cannot be used.
    `gevent.ssl.create_default_context` would give the standard library's sockets, which block every greenlet, in a
    process that is not monkey-patched.
    """
    context = gevent.ssl.SSLContext(gevent.ssl.PROTOCOL_TLS_CLIENT)  # checks names and requires certificates
    context.minimum_version = gevent.ssl.TLSVersion.TLSv1_2
    if authorities is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(authorities)
    if certificate is not None:
        # Without a password no prompt may stop the run: an encrypted key is an error.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    return context
