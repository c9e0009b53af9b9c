"""The configuration of a nats-server that serves a farm: who is let in, and what masters are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from reelmill.bus.admission import ACCOUNT

MASTER_USER = "master"
MAX_WORD_BYTES = 8_000_000
MAX_SUBSCRIPTIONS = 1_000
"""Of one connection: a worker has six, a master some twenty, and a benchmark one for each node that it simulates."""

_CONFIG = """\
# A nats-server for reelmill, made by reelmill. Its password is secret: let nobody else read this file.
listen: {listen}
max_payload: {max_payload}
max_subscriptions: {max_subscriptions}
# A peer that is frozen or cut off is given up within nine seconds.
ping_interval: "3s"
ping_max: 2
write_deadline: "5s"
{tls}
accounts {{
  {account} {{
    users: [{{user: {user}, password: {password}}}]
    # Masters are told at once whose connection ends.
    imports: [{{stream: {{account: SYS, subject: "$SYS.ACCOUNT.{account}.DISCONNECT"}}}}]
  }}
  SYS {{
    exports: [{{stream: "$SYS.ACCOUNT.{account}.DISCONNECT"}}]
  }}
}}
system_account: SYS
# What strangers try must not fill the disk.
logfile_size_limit: 10MB
logfile_max_num: 3

# Whoever is not a master is let in by the masters, with a token that `reelmill tokens` made.
authorization {{
  timeout: 5
  auth_callout {{ issuer: {issuer}, auth_users: [{user}], account: {account} }}
}}
"""
_TLS = """
# The connection begins with TLS: nobody in between can talk a client out of it.
tls {{
  cert_file: {cert}
  key_file: {key}
  handshake_first: true
}}
"""


class ServerCertificate(NamedTuple):
    """The files of a certificate and its key (PEM)."""

    cert: Path
    key: Path


def server_config(listen: str, issuer: str, password: str, certificate: ServerCertificate | None) -> str:
    """The text of the file; ``issuer`` is the public nkey with which masters sign passes."""
    tls = _TLS.format(cert=_quote(str(certificate.cert)), key=_quote(str(certificate.key))) if certificate else ""
    return _CONFIG.format(
        listen=_quote(listen),
        max_payload=MAX_WORD_BYTES,
        max_subscriptions=MAX_SUBSCRIPTIONS,
        tls=tls,
        account=ACCOUNT,
        user=MASTER_USER,
        password=_quote(password),
        issuer=issuer,
    )


def _quote(text: str) -> str:
    return json.dumps(text)
