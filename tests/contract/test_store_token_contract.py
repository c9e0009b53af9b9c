"""Tokens of workers and the secrets that masters share."""

from __future__ import annotations

import asyncio

import pytest

from reelmill.domain.credential import Token, make_token
from reelmill.errors import Conflict
from reelmill.store.protocol import Store
from reelmill.store.secrets import shared_secret
from reelmill.store.tokens import accepts, add_token, counting_tokens, list_tokens, replace_token, revoke_token


async def test_a_token_counts_until_it_is_revoked(store: Store) -> None:
    """Its name is free again then; what was is still listed, behind those that count."""
    first, second = make_token(), make_token()
    await store.write(lambda tx: add_token(tx, "studio", first, 100.0))
    assert await store.read(lambda tx: accepts(tx, first))
    assert frozenset({first.id}) == await store.read(counting_tokens)

    revoked = await store.write(lambda tx: revoke_token(tx, "studio", 200.0))
    assert revoked is not None
    assert (first.id, 200.0) == (revoked.id, revoked.revoked_at)
    assert not await store.read(lambda tx: accepts(tx, first))
    assert frozenset() == await store.read(counting_tokens)
    assert await store.write(lambda tx: revoke_token(tx, "studio", 300.0)) is None

    await store.write(lambda tx: add_token(tx, "studio", second, 50.0))
    listed = await store.read(list_tokens)
    assert [(second.id, None), (first.id, 200.0)] == [(token.id, token.revoked_at) for token in listed]


async def test_a_name_has_one_token_that_counts(store: Store) -> None:
    """The other is refused and leaves nothing; an up that starts again replaces its own."""
    first, second = make_token(), make_token()
    await store.write(lambda tx: add_token(tx, "studio", first, 1.0))
    with pytest.raises(Conflict, match="there is a token 'studio' already"):
        await store.write(lambda tx: add_token(tx, "studio", second, 2.0))
    assert not await store.read(lambda tx: accepts(tx, second))
    await store.write(lambda tx: replace_token(tx, "studio", second, 3.0))
    assert [second.id] == [token.id for token in await store.read(list_tokens)]


async def test_a_wrong_secret_is_not_accepted(store: Store) -> None:
    """Nor is an id that nobody knows."""
    token = make_token()
    await store.write(lambda tx: add_token(tx, "studio", token, 1.0))
    assert not await store.read(lambda tx: accepts(tx, Token(token.id, make_token().secret)))
    assert not await store.read(lambda tx: accepts(tx, make_token()))


async def test_a_secret_is_made_once(store: Store) -> None:
    """However many masters ask for it at the same time."""
    numbers = iter(range(100))

    async def ask(name: str) -> bytes:
        return await store.write(lambda tx: shared_secret(tx, name, lambda: str(next(numbers)).encode()))

    found = await asyncio.gather(*(ask("issuer") for _ in range(20)))
    assert 1 == len(set(found))
    assert found[0] != await ask("another")
