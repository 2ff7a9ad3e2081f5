"""Whom a client trusts."""

from __future__ import annotations

import ssl

from .errors import ConnectFailed, InvalidArgument
from .values import Endpoint, Options


def context_for(endpoint: Endpoint, options: Options) -> ssl.SSLContext | None:
    """None where the endpoint is reached without TLS."""
    if not endpoint.is_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=options.tls_authorities)
    except OSError as error:
        raise ConnectFailed(f"the certificates in '{options.tls_authorities}' cannot be read: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.hostname_checks_common_name = False
    return context


def name_for(endpoint: Endpoint, options: Options) -> str:
    """What the certificate of the server must be for."""
    name = options.tls_name or endpoint.host
    try:
        # As the standard library will, whose error is none of ours.
        name.encode("idna")
    except UnicodeError as error:
        raise InvalidArgument(f"'{name}' is no name that a certificate can be for") from error
    if name.startswith("."):
        raise InvalidArgument(f"'{name}' is no name that a certificate can be for")
    return name
