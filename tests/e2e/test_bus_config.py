"""`reelmill bus config`: what it prints is a server's whole configuration, the same each time it is asked."""

from __future__ import annotations

import re

from .conftest import Commands

URL = "nats://master:p%40ss@nats.example.org:4222"


def test_servers_that_start_anew_get_what_they_had(commands: Commands) -> None:
    """With the URL of the masters nothing is drawn, so a server may ask again at each of its starts."""
    ends = [commands.run("bus", "config", "--listen", "0.0.0.0:4222", REELMILL_BUS=URL) for _ in range(2)]
    assert [(0, "")] * 2 == [(end.returncode, end.stderr) for end in ends]
    assert ends[0].stdout == ends[1].stdout
    assert 'users: [{user: master, password: "p@ss"}]' in ends[0].stdout
    assert 'listen: "0.0.0.0:4222"' in ends[0].stdout


def test_without_a_url_a_password_is_drawn_and_shown_apart(commands: Commands) -> None:
    """The URL for masters goes to stderr, with the password of the configuration."""
    end = commands.run("bus", "config")
    [shown] = re.findall(
        r"^masters use: REELMILL_BUS='nats://master:(.+)@127\.0\.0\.1:4222'$", end.stderr, re.MULTILINE
    )
    assert f'password: "{shown}"' in end.stdout


def test_another_name_than_that_of_masters_is_refused(commands: Commands) -> None:
    """The passes of workers are made by whoever is called master."""
    end = commands.run("bus", "config", REELMILL_BUS="nats://admin:secret@nats:4222")
    expected = "error: bus: masters come as 'master', not as 'admin'; mend the URL\n"
    assert (2, "", expected) == (end.returncode, end.stdout, end.stderr)
