"""Keeps listeners from being open to everybody by accident."""

from __future__ import annotations

import logging

from asrgateway_server.settings import Settings, SettingsError, is_loopback

log = logging.getLogger(__name__)


def verify_exposure(settings: Settings) -> None:
    """Refuse a port that every client on the network may use, unless the operator allows it.

    Raises:
        SettingsError: Other machines reach the port, and no setting says which clients may call.
    """
    listeners = {"listen": settings.listen, "web_listen": settings.web_listen}
    exposed = {name: listen for name, listen in listeners.items() if listen and not is_loopback(listen.host)}
    if not exposed or settings.allow_anonymous:
        return
    if not settings.api_keys_file and not settings.tls_client_ca_file:
        names = " and ".join(f"{name} is {listen}" for name, listen in exposed.items())
        raise SettingsError(
            f"{names}: every client on the network could call. Set api_keys_file or tls_client_ca_file to admit known "
            "clients only, or allow_anonymous=true if the network restricts them"
        )
    if settings.api_keys_file and not settings.tls_cert_file:
        log.warning("clients send their keys without TLS; let a proxy or mesh encrypt them, or set tls_cert_file")
