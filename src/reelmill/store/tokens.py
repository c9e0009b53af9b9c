"""Tokens: which workers may join. Of their secrets only hashes are here."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row, delete, insert, select, update

from reelmill.domain.credential import Token, hash_secret, is_secret
from reelmill.errors import Conflict
from reelmill.store.protocol import Tx
from reelmill.store.schema import tokens


class KnownToken(msgspec.Struct, frozen=True):
    """A token without its secret; times are seconds since the epoch, ``revoked_at`` None while it counts."""

    id: str
    name: str
    created_at: float
    revoked_at: float | None


_KNOWN = select(tokens.c.id, tokens.c.name, tokens.c.created_at, tokens.c.revoked_at)
_ALIVE = tokens.c.revoked_at.is_(None)


def add_token(tx: Tx, name: str, token: Token, now: float) -> KnownToken:
    """Let workers join with the token; Conflict when another one of that name counts already."""
    if tx.execute(_KNOWN.where(tokens.c.name == name, _ALIVE)).first() is not None:
        raise Conflict(
            f"there is a token {name!r} already; revoke it first, or choose another name", code="token_exists"
        )
    known = KnownToken(token.id, name, now, None)
    tx.execute(insert(tokens), {**msgspec.structs.asdict(known), "secret_hash": hash_secret(token.secret)})
    return known


def replace_token(tx: Tx, name: str, token: Token, now: float) -> None:
    """Let the token be the only one of that name that ever was."""
    tx.execute(delete(tokens).where(tokens.c.name == name))
    add_token(tx, name, token, now)


def revoke_token(tx: Tx, name: str, now: float) -> KnownToken | None:
    """Let the token of that name count no more; None when none does."""
    row = tx.execute(_KNOWN.where(tokens.c.name == name, _ALIVE).with_for_update()).first()
    if row is None:
        return None
    tx.execute(update(tokens).where(tokens.c.id == row.id).values(revoked_at=now))
    return msgspec.structs.replace(_known(row), revoked_at=now)


def list_tokens(tx: Tx) -> list[KnownToken]:
    """All of them, those that count first, then the latest first."""
    rows = tx.execute(_KNOWN.order_by(tokens.c.revoked_at.is_not(None), tokens.c.created_at.desc(), tokens.c.id))
    return [_known(row) for row in rows]


def counting_tokens(tx: Tx) -> frozenset[str]:
    """The ids of the tokens that count."""
    return frozenset(tx.execute(select(tokens.c.id).where(_ALIVE)).scalars())


def accepts(tx: Tx, token: Token) -> bool:
    """Whether a worker may join with it."""
    stored = tx.execute(select(tokens.c.secret_hash).where(tokens.c.id == token.id, _ALIVE)).scalar()
    return stored is not None and is_secret(token.secret, stored)


def _known(row: Row[*tuple[Any, ...]]) -> KnownToken:
    return KnownToken(row.id, row.name, row.created_at, row.revoked_at)
