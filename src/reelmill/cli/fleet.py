"""Masters and workers as processes of their own, with NATS between them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import secrets
import ssl
import time
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import structlog

from reelmill.cli.farm import make_depot, make_worker, open_objects, open_store, own_folder
from reelmill.cli.folders import prepare_folders
from reelmill.cli.neighbour import why_taken
from reelmill.clock import SystemClock
from reelmill.domain.credential import (
    DEFAULT_PORT,
    Join,
    Token,
    make_node_key,
    make_token,
    read_hosts,
    read_join,
    read_token,
)
from reelmill.errors import InvalidField, SettingsError, StartupError
from reelmill.master.farm import Gate
from reelmill.master.master import Master
from reelmill.master.server import EVERYWHERE, outward_address
from reelmill.service import running
from reelmill.settings import Settings
from reelmill.store.protocol import Store
from reelmill.store.secrets import shared_secret
from reelmill.store.tokens import accepts, replace_token
from reelmill.worker.agent import Worker
from reelmill.worker.inventory import Inventory

try:
    from reelmill.bus.admission import Admissions, Applicant, Issuer
    from reelmill.bus.departures import NatsDepartures
    from reelmill.bus.identity import MASTER_ROLE, Access, Identity
    from reelmill.bus.nats import NatsBus
    from reelmill.bus.pinned import keep_certificate, pin_of, pinned_context
    from reelmill.bus.server_config import MASTER_USER, server_config
except ImportError as _error:
    raise StartupError("a fleet needs more packages; in a clone of reelmill, type: pip install '.[fleet]'") from _error

from reelmill.cli.nats_server import NatsServer

log = structlog.get_logger()

_ISSUER = "bus_issuer"
_THIS_MACHINE = "this-machine"
_UP = "up"
_SYSTEM = "system"
_LOOPBACK = ("127.", "localhost:", "[::1]:")


class RunningMaster(NamedTuple):
    """A master that is up."""

    store: Store
    master: Master


class RunningWorker(NamedTuple):
    """A worker that has joined a farm; ``refused`` is set when its token is revoked."""

    worker: Worker
    refused: asyncio.Event


class RunningFleet(NamedTuple):
    """A farm that is up, and how workers on other machines join it: ``is_local`` when only this one reaches it."""

    store: Store
    master: Master
    worker: Worker
    join: Join
    is_local: bool


class BusPlace(NamedTuple):
    """Where the bus is, as masters are told: ``host:port`` s, name, password, and TLS or not."""

    hosts: tuple[str, ...]
    user: str
    password: str
    tls: bool


def read_bus(url: str) -> BusPlace:
    """The parts of ``nats://user:password@host:port[,host:port]``; SettingsError that never shows the password."""
    scheme, _, rest = url.strip().partition("://")
    who, at, places = rest.rpartition("@")
    user, colon, password = who.partition(":")
    if scheme not in ("nats", "tls") or not at or not colon or not places.rstrip("/"):
        form = f"nats://{MASTER_USER}:PASSWORD@HOST:{DEFAULT_PORT}, or tls://… (`reelmill bus config` sets one up)"
        raise SettingsError(f"bus is not of the form {form}")
    if "@" in password:  # quoted it is %40; unquoted it belongs to a URL that gives each host a password
        raise SettingsError("bus has more than one @; name and password are given once, then HOST:PORT,HOST:PORT")
    try:
        hosts = read_hosts("bus", places)
    except InvalidField as error:
        raise SettingsError(str(error)) from error
    return BusPlace(hosts, unquote(user), unquote(password), scheme == "tls")


async def issuer_of(store: Store) -> Issuer:
    """The key with which the masters of this farm sign."""
    return Issuer(await store.write(lambda tx: shared_secret(tx, _ISSUER, Issuer.make_seed)))


@contextlib.asynccontextmanager
async def run_master(settings: Settings) -> AsyncGenerator[RunningMaster, None]:
    """A master on the bus that the settings name, for the length of the block."""
    place = read_bus(settings.bus)
    tls = _authority(settings, needed=place.tls)
    store = open_store(settings)
    prepare_folders(settings)
    async with running(store), _master_on(settings, store, await issuer_of(store), place, tls, pin=None) as master:
        yield RunningMaster(store, master)


@contextlib.asynccontextmanager
async def run_fleet(settings: Settings, inventory: Inventory) -> AsyncGenerator[RunningFleet, None]:
    """A bus, a master and a worker on this machine, which workers on others may join."""
    if settings.store:  # its workers would be on another bus than those of the next farm on that store
        masters = "masters that share a database share a bus: use `reelmill master`"
        raise SettingsError(f"up --fleet keeps its jobs in a file of its own; {masters}, see docs/fleet.md")
    _refuse_taken_port(settings)
    store = open_store(settings)
    prepare_folders(settings)
    folder = settings.data / "fleet"
    folder.mkdir(mode=0o700, exist_ok=True)
    certificate = keep_certificate(folder, settings.node_name)
    pin, password = pin_of(certificate), secrets.token_urlsafe(24)
    here, shown = _addresses(settings)
    async with running(store):
        issuer = await issuer_of(store)
        config = server_config(f"{settings.bus_host}:{settings.bus_port}", issuer.public, password, certificate)
        async with running(NatsServer(folder, config, here)):
            tls = await pinned_context([here], pin)
            place = BusPlace((here,), MASTER_USER, password, tls=True)
            async with _master_on(settings, store, issuer, place, tls, pin=pin, shown=(shown,)) as master:
                ours, others = make_token(), await _keep_token(store, folder / "token")
                await store.write(lambda tx: replace_token(tx, _THIS_MACHINE, ours, time.time()))
                me = Join(ours, (here,), pin, tls=True)
                async with _worker_on(settings, inventory, me, own_folder(settings)) as joined:
                    shown_join = Join(others, (shown,), pin, tls=True)
                    yield RunningFleet(store, master, joined.worker, shown_join, shown.startswith(_LOOPBACK))


def _refuse_taken_port(settings: Settings) -> None:
    """Whatever listens there would be taken for our own bus, and asked for our certificate."""
    taken = why_taken(settings.bus_host, settings.bus_port)
    if taken is None:
        return
    if taken.errno == errno.EADDRINUSE:
        advice = "stop what uses it, or choose another with --bus-port"
        raise StartupError(f"port {settings.bus_port} is in use; {advice}") from taken
    place = f"{settings.bus_host}:{settings.bus_port}"
    raise StartupError(f"the bus cannot listen on {place}: {taken.strerror or taken}; see --bus-host, --bus-port")


def _addresses(settings: Settings) -> tuple[str, str]:
    """Where the bus of this machine is reached from here, and where others may try."""
    port = settings.bus_port
    if settings.bus_host in EVERYWHERE:
        return f"127.0.0.1:{port}", f"{outward_address()}:{port}"
    return f"{settings.bus_host}:{port}", f"{settings.bus_host}:{port}"


def _read_token(file: Path) -> Token | None:
    return read_token(file.read_text().strip()) if file.exists() else None


def _write_token(file: Path, token: Token) -> None:
    file.touch(mode=0o600)
    file.write_text(f"{token.text}\n")


async def _keep_token(store: Store, file: Path) -> Token:
    """The token that `up --fleet` shows: the same from start to start, unless it was revoked."""
    kept = _read_token(file)
    if kept is not None and await store.read(lambda tx: accepts(tx, kept)):
        return kept
    token = make_token()
    await store.write(lambda tx: replace_token(tx, _UP, token, time.time()))
    _write_token(file, token)  # what it says must count by then
    return token


@contextlib.asynccontextmanager
async def run_worker(settings: Settings, inventory: Inventory) -> AsyncGenerator[RunningWorker, None]:
    """A worker that has joined a farm, for the length of the block."""
    try:
        join = read_join("join", settings.join)
    except InvalidField as error:
        raise SettingsError(str(error).replace("join: ", "--join ", 1)) from error
    prepare_folders(settings, media=settings.media is not None)
    async with _worker_on(settings, inventory, join, settings.media) as joined:
        yield joined


@contextlib.asynccontextmanager
async def _master_on(
    settings: Settings,
    store: Store,
    issuer: Issuer,
    place: BusPlace,
    tls: ssl.SSLContext | None,
    *,
    pin: bytes | None,
    shown: tuple[str, ...] | None = None,
) -> AsyncGenerator[Master, None]:
    """A master on a store that has been started."""
    me = Identity(MASTER_ROLE, uuid.uuid4().hex)
    access = Access([f"nats://{host}" for host in place.hosts], place.user, place.password, tls)

    def trusts(token_id: str) -> bool:
        return master.doorman.trusts(token_id)

    async def refuses(token_id: str) -> bool:
        return await master.doorman.refuses(token_id)

    bus = NatsBus(access, me, trusts=trusts, refuses=refuses)
    gate = Gate(
        shown or place.hosts,
        pin,
        tls is not None,
        NatsDepartures(bus, place.user),
        bus.dismiss,
    )
    objects = await open_objects(settings)
    master = Master(settings, store, bus, SystemClock(), alone=False, gate=gate, objects=objects)

    async def judge(applicant: Applicant) -> Identity:
        return Identity(await master.doorman.admit(applicant.user, applicant.password), applicant.user)

    async with running(bus, master, Admissions(bus, issuer, judge)):
        gc.freeze()  # as in a farm that is one process
        yield master


@contextlib.asynccontextmanager
async def _worker_on(
    settings: Settings, inventory: Inventory, join: Join, media: Path | None
) -> AsyncGenerator[RunningWorker, None]:
    """With the farm's media folder, or with none: then it has media from the masters."""
    key = make_node_key()
    tls = await pinned_context(join.hosts, join.pin) if join.pin is not None else _authority(settings, needed=join.tls)
    if tls is None and not all(host.startswith(_LOOPBACK) for host in join.hosts):
        log.warning(
            "token_in_clear", advice="anyone on the way to the bus can read it: give the bus TLS (docs/fleet.md)"
        )
    access = Access([f"nats://{host}" for host in join.hosts], key.node_id, f"{join.token.text}:{key.secret}", tls)
    bus = NatsBus(access, Identity(join.token.id, key.node_id))
    worker = make_worker(settings, inventory, bus, make_depot(settings, bus, media), key.node_id)
    async with running(bus, worker):
        yield RunningWorker(worker, bus.refused)


def _authority(settings: Settings, *, needed: bool) -> ssl.SSLContext | None:
    """TLS to whoever has a certificate of the authority that the settings name; None when it is not asked for."""
    if not settings.bus_ca and not needed:
        return None
    try:
        return ssl.create_default_context(cafile=None if settings.bus_ca in ("", _SYSTEM) else settings.bus_ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"bus-ca: cannot read {settings.bus_ca}: {error}") from error
