"""The private certificate authority: made once a local cloud, certificates issued a host."""

import os
import ssl
from pathlib import Path

import certifi
import trustme

from localcloud.environment import LOCAL, WHOLE


class Authority:
    """Issues certificates; `ca.pem` and `bundle.pem` (with the outer authorities) lie in the folder."""

    def __init__(self, root: Path) -> None:
        self._authority = self._load(root)
        self._contexts: dict[str, ssl.SSLContext] = {}
        certificate = self._authority.cert_pem.bytes()
        outer = Path(os.environ.get("SSL_CERT_FILE") or certifi.where())
        outer = root / WHOLE if outer.parent == root else outer  # one of its clients has started it
        outer = outer if outer.is_file() else Path(certifi.where())
        own = b"\n" + certificate
        (root / LOCAL).write_bytes(certificate)
        (root / WHOLE).write_bytes(outer.read_bytes().removesuffix(own) + own)

    @staticmethod
    def _load(root: Path) -> trustme.CA:
        """The same authority at every start, so that a shell that trusts it goes on."""
        certificate, key = root / "authority.pem", root / "authority-key.pem"
        if not (certificate.exists() and key.exists()):
            made = trustme.CA(organization_name="localcloud")
            key.touch(mode=0o600)
            made.private_key_pem.write_to_path(key)
            made.cert_pem.write_to_path(certificate)
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())

    def context(self, host: str) -> ssl.SSLContext:
        """A server's TLS context for `host`.

        http/1.1 stands first: only a client that offers h2 alone (gRPC) gets h2.
        """
        if host not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(host).configure_cert(context)
            context.set_alpn_protocols(["http/1.1", "h2"])
            self._contexts[host] = context
        return self._contexts[host]
