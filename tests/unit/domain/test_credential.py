"""Tokens, node keys and the URL with which workers join."""

from __future__ import annotations

import uuid

import pytest

from reelmill.domain.credential import (
    Join,
    NodeKey,
    Token,
    hash_secret,
    is_secret,
    make_node_key,
    make_token,
    read_join,
    read_token,
)
from reelmill.errors import InvalidField

TOKEN = Token("0123abcd", "abcdefghijklmnopqrstuvwxyz-_0123")
PIN = bytes(range(32))


@pytest.mark.parametrize(("pin", "tls"), [(None, False), (None, True), (PIN, True)])
@pytest.mark.parametrize("hosts", [("farm:4222",), ("10.0.0.1:4222", "farm.example:1")])
def test_what_is_printed_is_read(hosts: tuple[str, ...], pin: bytes | None, tls: bool) -> None:
    """Also with what a terminal adds around it."""
    join = Join(TOKEN, hosts, pin, tls)
    assert join == read_join("join", join.text)
    assert join == read_join("join", f"  {join.text}/\n")


@pytest.mark.parametrize(
    ("place", "hosts"),
    [
        ("farm", ("farm:4222",)),
        ("farm,[::1]:5,10.0.0.1", ("farm:4222", "[::1]:5", "10.0.0.1:4222")),
        ("[::1]", ("[::1]:4222",)),
    ],
)
def test_the_port_may_be_left_out(place: str, hosts: tuple[str, ...]) -> None:
    """It is that of NATS."""
    assert hosts == read_join("join", f"reelmill://{TOKEN.text}@{place}").hosts


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is not of the form"),
        (TOKEN.text, "is not of the form"),
        (f"reelmill://{TOKEN.text}", "is not of the form"),
        (f"reelmill://{TOKEN.text}@", "is not of the form"),
        (f"nats://{TOKEN.text}@farm", "is not of the form"),
        (f"reelmill://{TOKEN.text[:-1]}@farm", "holds no whole token"),
        (f"reelmill://{TOKEN.text}.abc@farm", "holds no whole token"),
        (f"reelmill://{TOKEN.text}@farm:port", "no HOST:PORT"),
        (f"reelmill://{TOKEN.text}@farm:70000", "no HOST:PORT"),
        (f"reelmill://{TOKEN.text}@farm/x", "no HOST:PORT"),
        (f"reelmill://{TOKEN.text}@farm,", "no HOST:PORT"),
    ],
)
def test_what_is_no_join_url_is_one_sentence_without_the_secret(text: str, what: str) -> None:
    """It may end up in a log."""
    with pytest.raises(InvalidField) as caught:
        read_join("join", text)
    assert what in str(caught.value)
    assert TOKEN.secret not in str(caught.value)


def test_tokens_and_keys_are_new_each_time() -> None:
    """And their texts are read again."""
    assert TOKEN == read_token(TOKEN.text)
    assert make_token() != make_token()
    assert make_node_key() != make_node_key()
    assert read_token("") is None
    assert read_token(f"{TOKEN.text}x") is None


def test_a_node_id_follows_from_its_key() -> None:
    """It is a UUID of the version for such uses, and the same on any machine."""
    assert "ca978112-ca1b-8dca-bac2-31b39a23dc4d" == NodeKey("a").node_id  # sha256("a") begins with ca978112ca1bbdca
    assert NodeKey("a").node_id != NodeKey("b").node_id
    assert (8, uuid.RFC_4122) == (uuid.UUID(NodeKey("a").node_id).version, uuid.UUID(NodeKey("a").node_id).variant)


def test_a_secret_is_known_by_its_hash_only() -> None:
    """Which says nothing of it."""
    stored = hash_secret(TOKEN.secret)
    assert TOKEN.secret not in stored
    assert is_secret(TOKEN.secret, stored)
    assert not is_secret(TOKEN.secret[:-1], stored)
