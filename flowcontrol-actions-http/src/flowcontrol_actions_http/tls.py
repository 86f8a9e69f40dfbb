"""Who is trusted, and as whom we are known: the TLS contexts of this pack."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import httpx2

from . import conf
from .addresses import is_listed
from .errors import RequestRefused

__all__ = ["Profile", "context", "profile"]


@dataclass(frozen=True)
class Profile:
    """What of TLS differs between hosts. Connections of one profile are in no other's pool."""

    is_used: bool = True
    is_verified: bool = True
    #: The host whose client certificate is shown.
    certificate_of: str = ""


#: Of connections without TLS.
_PLAIN = Profile(is_used=False)


def profile(scheme: str, host: str, *, is_verified: bool = True) -> Profile:
    """Raises ``RequestRefused`` for a flow that would switch the verification off where the deployer does not let it."""
    if scheme == "http":
        return _PLAIN
    if not is_verified and not is_listed(host, conf.get("UNVERIFIED_HOSTS")):
        raise RequestRefused(
            f"The certificate of {host} has to be verified. The deployer lets flows switch that off for the hosts in "
            'FLOWCONTROL_HTTP["UNVERIFIED_HOSTS"]; an authority of your own is trusted with "CA_FILE".'
        )
    known = [pattern for pattern in conf.get("CLIENT_CERTIFICATES") if is_listed(host, (pattern,))]
    return Profile(True, is_verified, max(known, key=_exactness, default=""))


def _exactness(pattern: str) -> tuple[bool, int]:
    return not pattern.startswith("*"), len(pattern)


def context(wanted: Profile) -> ssl.SSLContext:
    """A context of its own, never read from the environment."""
    if not wanted.is_used:
        # Trusts nobody, and is made in no time.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made = httpx2.create_ssl_context(verify=wanted.is_verified, trust_env=False)
    authorities = conf.get("CA_FILE")
    if authorities and wanted.is_verified:
        made.load_verify_locations(authorities)
    if wanted.certificate_of:
        certificate = conf.get("CLIENT_CERTIFICATES")[wanted.certificate_of]
        made.load_cert_chain(certificate.file, certificate.key)
    return made
