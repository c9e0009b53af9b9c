"""A real nats-server with the configuration of a farm, and buses that go through its door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from reelmill.bus.admission import Admissions, Applicant, Issuer
from reelmill.bus.identity import MASTER_ROLE, Access, Identity
from reelmill.bus.nats import NatsBus
from reelmill.bus.server_config import MASTER_USER, server_config
from reelmill.errors import Forbidden
from tests.nats_server import NatsServer

PASSWORD = "of the masters"
TOKEN = "of the workers"


class Guarded(NamedTuple):
    """A server behind its door, and the bus of the master that keeps it."""

    server: NatsServer
    master: NatsBus

    def worker(self, node_id: str, role: str = "token1", password: str = TOKEN) -> NatsBus:
        """The bus of a worker, not started yet; ``role`` is what it claims to be."""
        return NatsBus(Access([self.server.url], node_id, password), Identity(role, node_id))


async def judge(applicant: Applicant) -> Identity:
    """Whoever has the password is a worker that came with token1."""
    if applicant.password != TOKEN:
        raise Forbidden("wrong token")
    return Identity("token1", applicant.user)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer(Issuer.make_seed())


@pytest.fixture
def server(tmp_path: Path, issuer: Issuer) -> Iterator[NatsServer]:
    made = NatsServer(tmp_path)
    config = server_config(f"127.0.0.1:{made.port}", issuer.public, PASSWORD, None)
    made.configure(config)
    made.start()
    yield made
    made.kill()


@pytest.fixture
async def guarded(server: NatsServer, issuer: Issuer) -> AsyncIterator[Guarded]:
    master = NatsBus(Access([server.url], MASTER_USER, PASSWORD), Identity(MASTER_ROLE, "m1"))
    admissions = Admissions(master, issuer, judge)
    await master.start()
    await admissions.start()
    yield Guarded(server, master)
    await admissions.stop()
    await master.stop()
