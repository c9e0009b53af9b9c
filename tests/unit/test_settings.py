"""Settings: flags > environment > reelmill.toml > the user's file > defaults; a wrong one is named with its place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from reelmill.errors import SettingsError
from reelmill.settings import DEFAULT_MASTER, Settings, load_settings


class Places:
    """The places that settings come from."""

    def __init__(self, project: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project = project / "reelmill.toml"
        self.user = user / "reelmill" / "reelmill.toml"
        self.user.parent.mkdir(parents=True)
        self._monkeypatch = monkeypatch

    def set(self, **variables: str) -> None:
        """Set variables of the environment."""
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """An empty project, an empty home, and no variable of ours."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("MASTER_URL", *(f"REELMILL_{name.upper()}" for name in Settings.__struct_fields__)):
        monkeypatch.delenv(name, raising=False)
    return Places(project, tmp_path / "config", monkeypatch)


def test_without_anything_the_defaults_hold(places: Places, tmp_path: Path) -> None:
    """And they are those of the design."""
    settings = load_settings({})

    assert (DEFAULT_MASTER, "127.0.0.1", 8080) == (settings.master, settings.host, settings.port)
    assert (30.0, 3, 3, None, 0) == (
        *(settings.lease_seconds, settings.max_failures, settings.max_crashes, settings.slots, settings.reserve_live),
    )
    assert tmp_path / "data" / "reelmill" == settings.data
    assert places.project.parent == settings.media_folder


def test_each_place_wins_over_the_one_behind_it(places: Places) -> None:
    """Five ports in five places, uncovered one by one."""
    places.user.write_text("port = 2")
    assert 2 == load_settings({}).port
    places.project.write_text("port = 3")
    assert 3 == load_settings({}).port
    places.set(REELMILL_PORT="4")
    assert 4 == load_settings({}).port
    assert 5 == load_settings({"port": 5}).port
    assert 4 == load_settings({"port": None}).port, "a flag that is None was not given"


def test_places_add_up(places: Places) -> None:
    """A place that says one thing leaves the rest to the others."""
    places.user.write_text('host = "0.0.0.0"\nslots = 4')
    places.project.write_text("lease-seconds = 60\nmax_failures = 5")
    places.set(REELMILL_MAX_CRASHES="7", REELMILL_SLOTS="")

    settings = load_settings({"node_name": "mill"})

    assert ("0.0.0.0", 4, 60.0, 5, 7, "mill") == (
        *(settings.host, settings.slots, settings.lease_seconds, settings.max_failures, settings.max_crashes),
        settings.node_name,
    )


@pytest.mark.parametrize("flag", ["", " "])
def test_an_empty_store_is_refused_as_a_flag(places: Places, flag: str) -> None:
    """`--store "$DATABASE"` with an unset variable would begin a farm on SQLite, without the jobs of the real one."""
    places.project.write_text('store = "postgresql://db/farm"')
    words = r"--store is empty \(a variable that is not set\?\); give a postgresql:// URL, or leave it out"
    with pytest.raises(SettingsError, match=words):
        load_settings({"store": flag})


def test_an_empty_variable_counts_as_unset(places: Places) -> None:
    """For the store as for every setting: the place behind it holds."""
    places.set(REELMILL_STORE="")
    assert "" == load_settings({}).store
    places.project.write_text('store = "postgresql://db/farm"')
    assert "postgresql://db/farm" == load_settings({}).store


def test_master_url_is_heard_unless_our_own_variable_is_set(places: Places) -> None:
    """Older launchers use it."""
    places.project.write_text('master = "http://project:1"')
    places.set(MASTER_URL="http://old:1")
    assert "http://old:1" == load_settings({}).master
    places.set(REELMILL_MASTER="http://new:1")
    assert "http://new:1" == load_settings({}).master


def test_folders_become_absolute(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to where the command runs, and with ~."""
    monkeypatch.setenv("HOME", "/home/somebody")

    settings = load_settings({"data": "farm", "media": "~/films"})

    assert places.project.parent / "farm" == settings.data
    assert Path("/home/somebody/films") == settings.media_folder


@pytest.mark.parametrize("which", ["project", "user"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"prot = 1", "unknown setting 'prot'; did you mean 'port'?; known are master, host, port"),
        (b"port = ", "is not valid TOML"),
        (b"[farm]\nport = 1", "unknown setting 'farm'"),
        (b"\xff\xfe", "cannot read"),
    ],
)
def test_a_wrong_file_is_named(places: Places, which: str, content: bytes, words: str) -> None:
    """The file, and what is wrong in it."""
    path: Path = getattr(places, which)
    path.write_bytes(content)

    with pytest.raises(SettingsError) as caught:
        load_settings({})

    assert words in str(caught.value)
    assert path.name in str(caught.value)


def test_a_folder_in_the_place_of_a_file_is_named(places: Places) -> None:
    """Not a traceback."""
    places.project.mkdir()
    with pytest.raises(SettingsError, match=r"cannot read reelmill\.toml"):
        load_settings({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "eighty"),
        ("port", -1),
        ("port", 65_536),
        ("slots", 0),
        ("slots", 5000),
        ("slots", "many"),
        ("reserve_live", -1),
        ("lease_seconds", 0.5),
        ("lease_seconds", float("nan")),
        ("lease_seconds", float("inf")),
        ("beat_seconds", 0),
        ("beat_seconds", 11),
        ("max_failures", 0),
        ("max_crashes", 0),
        ("retry_base_seconds", -1),
        ("retry_base_seconds", float("nan")),
        ("retention", "soon"),
        ("retention", "59s"),
        ("retention", "-1"),
        ("min_free", "much"),
        ("engine_memory", "much"),
        ("engine_memory", "1MB"),
        ("engine_nice", 20),
        ("price_per_hour", 0),
        ("price_per_kwh", -1),
        ("watts_per_core", float("inf")),
        ("currency", "euro"),
        ("min_free", "-1"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(places: Places, name: str, value: Any) -> None:
    """From a flag, from the environment and from a file alike."""
    place = name.replace("_", "[-_]")
    with pytest.raises(SettingsError, match=place):
        load_settings({name: value})
    places.set(**{f"REELMILL_{name.upper()}": str(value)})
    with pytest.raises(SettingsError, match=place):
        load_settings({})


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('lease-seconds = "soon"', "lease-seconds must be a number, not text"),
        ('slots = "many"', "slots must be a whole number, not text"),
        ("port = 4.5", "port must be a whole number, not a number with a fraction"),
        ('data = "~no-such-user/x"', "data is '~no-such-user/x', and that user has no home folder here"),
    ],
)
def test_a_value_that_cannot_be_is_told_in_plain_words(places: Places, written: str, words: str) -> None:
    """The setting as it is typed, and what it must be; no names of types, and no null, which nobody can type."""
    places.project.write_text(written)
    with pytest.raises(SettingsError) as caught:
        load_settings({})
    assert f"{words}; mend the flag, the variable or the file" == str(caught.value)


def test_a_beat_may_not_be_slower_than_a_third_of_the_lease(places: Places) -> None:
    """Else a single lost beat would cost a job."""
    assert 10.0 == load_settings({"beat_seconds": 10.0}).beat_seconds
    with pytest.raises(SettingsError, match=r"beat-seconds is 10; it must be from 0\.1 to 3"):
        load_settings({"beat_seconds": 10.0, "lease_seconds": 9.0})
    assert not places.project.exists()


@pytest.mark.parametrize(
    "flag", ["gpu=yes, site=ber", ["gpu=yes", "site=ber"], ["gpu=yes,site=ber"], {"gpu": "yes", "site": "ber"}]
)
def test_labels_of_the_node_come_in_any_form(places: Places, flag: Any) -> None:
    """As a flag that is repeated, as a list with commas, as a table; a later place replaces them all."""
    places.project.write_text('[labels]\ngpu = "no"\nrack = "7"')
    assert {"gpu": "no", "rack": "7"} == load_settings({}).labels
    places.set(REELMILL_LABELS="gpu=maybe,site=par")
    assert {"gpu": "maybe", "site": "par"} == load_settings({}).labels
    assert {"gpu": "yes", "site": "ber"} == load_settings({"labels": flag}).labels


@pytest.mark.parametrize(
    "flag",
    ["gpu", ["=yes"], "gpu=", ["gpu=yes", "gpu=no"], {"gpu": 1}, {"g p u": "yes"}, "gpu=" + "x" * 129],
)
def test_a_label_that_makes_no_sense_is_named(places: Places, flag: Any) -> None:
    """In one sentence that names the setting."""
    with pytest.raises(SettingsError, match="labels"):
        load_settings({"labels": flag})
    assert not places.project.exists()


def test_an_unknown_flag_is_named(places: Places) -> None:
    """A command that passes one has a fault of its own, but it is told all the same."""
    with pytest.raises(SettingsError, match="colour"):
        load_settings({"colour": "red"})
    assert not places.project.exists()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ('"12h"', 43_200.0),
        ('"30d"', 2_592_000.0),
        ('"90s"', 90.0),
        ('"forever"', None),
        ("0", None),
        ('"1m"', 60.0),
    ],
)
def test_how_long_jobs_are_kept(places: Places, written: str, seconds: float | None) -> None:
    """In a file with or without quotes, in the environment and as a flag; a month when nothing is said."""
    assert 30 * 86_400.0 == load_settings({}).retention_seconds
    places.project.write_text(f"retention = {written}")
    assert seconds == load_settings({}).retention_seconds
    places.set(REELMILL_RETENTION=written.strip('"'))
    assert seconds == load_settings({}).retention_seconds
    assert seconds == load_settings({"retention": written.strip('"')}).retention_seconds


def test_a_retention_without_a_unit_is_refused_wherever_it_stands(places: Places) -> None:
    """As a flag, in the environment, and in a file with or without quotes."""
    words = r"retention: '90' has no unit; write a number with a unit \(s, m, h, d\), such as 12h or 30d, or forever"
    with pytest.raises(SettingsError, match=words):
        load_settings({"retention": "90"})
    for written in ("90", '"90"'):
        places.project.write_text(f"retention = {written}")
        with pytest.raises(SettingsError, match=words):
            load_settings({})
    places.project.unlink()
    places.set(REELMILL_RETENTION="90")
    with pytest.raises(SettingsError, match=words):
        load_settings({})


def test_a_project_adds_scenarios_to_those_of_the_user(places: Places) -> None:
    """Of two with one name the project's counts; what is wrong with one names its table."""
    places.user.write_text("[scenarios.a]\nextends = '720p30-h264'\n[scenarios.b]\nextends = '720p30-h264'")
    places.project.write_text("[scenarios.b]\nextends = '480p30-h264'\n[scenarios.c]\nextends = 'a'")
    own = load_settings({}).own_scenarios
    assert {"a": 720, "b": 480, "c": 720} == {name: scenario.height for name, scenario in own.items()}
    places.project.write_text("[scenarios.c]\nextends = 'd'")
    with pytest.raises(SettingsError, match=r"scenarios\.c\.extends: names an unknown scenario 'd'"):
        load_settings({})


def test_long_inputs_are_cut_only_where_a_farm_says_so() -> None:
    """Off by default; a length without sense names its setting."""
    assert Settings().chunking is None
    assert (60.0, 1800.0) == Settings(chunk_above="30m").chunking
    with pytest.raises(SettingsError, match="chunk-above"):
        Settings(chunk_above="long")
    with pytest.raises(SettingsError, match="chunk-length"):
        Settings(chunk_length="0.1s")


@pytest.mark.parametrize("written", ["{nvenc = 3, qsv = 8}", '"nvenc=3, qsv=8"', '["nvenc=3", "qsv=8"]'])
def test_sessions_of_hardware_encoders(places: Places, written: str) -> None:
    """By the kind of device, however they are written."""
    places.project.write_text(f"hardware_sessions = {written}")
    assert {"nvenc": 3, "qsv": 8} == load_settings({}).hardware_sessions


@pytest.mark.parametrize(
    ("written", "word"),
    [
        (["nvnec=3"], "did you mean 'nvenc'"),
        (["nvenc=0"], "a whole number from 1 to 1,000"),
        (["nvenc"], "a whole number"),
        (["nvenc=2", "nvenc=3"], "given twice"),
    ],
)
def test_wrong_sessions_are_refused(places: Places, written: list[str], word: str) -> None:
    """With what they may be."""
    with pytest.raises(SettingsError, match=re.escape(word)):
        load_settings({"hardware_sessions": written})


@pytest.mark.parametrize(
    ("own", "is_open"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "farm.example"}, True),
        ({"public_url": "http://farm.example:8080"}, True),
        ({"allowed_hosts": "farm.example"}, True),
    ],
)
def test_a_farm_that_others_can_reach_is_careful_with_whom_it_streams(own: dict[str, Any], is_open: bool) -> None:
    """Also one that a proxy on this machine opens to others."""
    hosts = Settings(stream_hosts="a.example, ,*.b.example ", **own).hosts_to_stream_with
    assert (("a.example", "*.b.example"), is_open) == (hosts.named, hosts.open_to_others)
