"""Where compiled code is kept: in folders that nobody else can write to; else nowhere."""

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fastgrad.kernels import kept

grp, pwd = (pytest.importorskip(name, reason="files have no owners and modes here") for name in ("grp", "pwd"))
PLACES = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "TMPDIR")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Let all places lie in one folder, and give them in their order."""
    found = []
    for name in PLACES:
        folder = tmp_path / name
        folder.mkdir(mode=0o700)
        monkeypatch.setenv(name, str(folder))
        found.append(folder / f"fastgrad-{os.geteuid()}" if name == "TMPDIR" else folder / "fastgrad")
    found[2] = tmp_path / "HOME" / ".cache" / "fastgrad"
    return found


def keep_in(places):
    """Keep something; return the number of the place that it lies in then, None for none."""
    kept.write("key", "name", b"content")
    return next((number for number, place in enumerate(places) if (place / "key" / "name").exists()), None)


def test_what_is_kept_is_read_back(places):
    assert keep_in(places) == 0
    assert kept.read("key", "name") == b"content"
    assert kept.has("key", "name")
    assert (kept.read("key", "other"), kept.read("other", "name"), kept.has("key", "other")) == (None, None, False)
    folders = [places[0], places[0] / "key"]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700, 0o700]
    assert stat.S_IMODE((folders[1] / "name").stat().st_mode) == 0o600


def test_one_process_waits_while_another_makes_what_is_kept(places, monkeypatch):
    done = []

    def second():
        with kept.alone("key", "name"):
            done.append("second")

    with kept.alone("key", "name"):
        other = threading.Thread(target=second)
        other.start()
        with kept.alone("key", "another name"):
            pass
        time.sleep(0.1)
        done.append("first")
    other.join()
    assert done == ["first", "second"]
    monkeypatch.setattr(kept, "LONGEST_WAIT", 0.1)
    with kept.alone("key", "name"), kept.alone("key", "name"):
        pass  # nobody waits for ever


COMPILING = """\
from fastgrad.kernels.kernel import Kernel
compiled = Kernel._newly_compiled
Kernel._newly_compiled = lambda self: print("compiled", flush=True) or compiled(self)
Kernel("probe", "probe").machine_code()
"""


@pytest.mark.compiled
def test_of_many_processes_that_start_together_one_compiles(places, tmp_path):
    command = [sys.executable, "-c", COMPILING]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert sorted(printed) == ["", "", "compiled\n"]


def test_nobody_waits_where_nothing_can_be_kept(places, monkeypatch):
    monkeypatch.setattr(kept, "_places", lambda: iter([Path("relative/fastgrad")]))
    with pytest.raises(ZeroDivisionError), kept.alone("key", "name"):
        raise ZeroDivisionError


def test_another_file_under_the_name_is_as_bad_as_a_damaged_one(places):
    keep_in(places)
    os.rename(places[0] / "key" / "name", places[0] / "key" / "other")
    assert kept.read("key", "other") is None


def test_a_full_disk_leaves_nothing_behind(places, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "name")

    monkeypatch.setattr(os, "replace", full)
    kept.say.cache_clear()
    assert keep_in(places) is None
    assert [path for path in places[0].rglob("*") if path.is_file()] == []
    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("name", PLACES[:2])
def test_a_relative_folder_is_not_followed(places, monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    for earlier in PLACES[: PLACES.index(name)]:
        monkeypatch.delenv(earlier)
    monkeypatch.setenv(name, "here")
    assert keep_in(places) == PLACES.index(name) + 1
    assert not (tmp_path / "here").exists()


def test_one_line_says_why_nothing_is_kept(places, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    for name in PLACES:
        monkeypatch.setenv(name, "here")
    kept.say.cache_clear()
    for _ in range(3):
        assert keep_in(places) is None
    said = capsys.readouterr()
    assert said.err == (
        "fastgrad cannot keep what it compiled, and compiles it again in each process. here is a relative path, which is not "
        "followed; set NUMBA_CACHE_DIR to the absolute path of a folder that only you can write to.\n"
    )
    assert said.out == ""
    assert kept.read("key", "name") is None
    assert not kept.is_possible("key")
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o777, 0o1777])
@pytest.mark.parametrize("folder", ["", "key"])
def test_a_folder_of_ours_that_others_can_enter(places, capsys, mode, folder):
    keep_in(places)
    (places[0] / folder).chmod(mode)
    assert kept.read("key", "name") is None
    (places[0] / "key" / "name").unlink()
    assert keep_in(places) == 1


@pytest.mark.parametrize(("mode", "private", "fits"), [
    (0o755, False, True), (0o775, False, False), (0o775, True, True), (0o777, True, False), (0o1777, False, True),
    (0o1775, False, True), (0o711, False, True),
])  # fmt: skip
def test_folders_above_that_others_can_write_to(places, monkeypatch, mode, private, fits):
    monkeypatch.setattr(kept, "_is_private", lambda group: private)
    keep_in(places)
    places[0].parent.chmod(mode)
    assert (kept.read("key", "name") is not None) == fits


def test_the_private_group_is_the_users_own_and_nobody_elses(monkeypatch):
    assert not kept._is_private(2**31 - 5)
    user = pwd.getpwuid(os.geteuid())
    for name, group, members, private in (
        (user.pw_name, user.pw_gid, [], True),
        (user.pw_name, user.pw_gid, [user.pw_name], True),
        (user.pw_name, user.pw_gid, ["somebody"], False),
        (user.pw_name, user.pw_gid + 1, [], False),
        ("users", user.pw_gid, [], False),
    ):
        monkeypatch.setattr(grp, "getgrgid", lambda _, found=(name, "x", group, members): grp.struct_group(found))
        assert kept._is_private(group) == private


def test_folders_of_somebody_else(places, monkeypatch):
    keep_in(places)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert kept.read("key", "name") is None
    with pytest.raises(kept.UnfitError, match="belongs to another user"):
        kept._enter(places[0] / "key", kept.OWN)


def test_a_link_in_the_place_of_our_folder_is_not_followed(places, tmp_path):
    keep_in(places)
    os.rename(places[0], tmp_path / "moved")
    places[0].symlink_to(tmp_path / "moved")
    assert kept.read("key", "name") is None


def test_a_link_above_our_folder_is_followed_to_where_it_leads(places, tmp_path, monkeypatch):
    keep_in(places)
    (tmp_path / "link").symlink_to(places[0].parent)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "link"))
    assert kept.read("key", "name") == b"content"
    places[0].parent.chmod(0o777)
    assert kept.read("key", "name") is None


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "group"])
def test_only_a_file_of_this_user_is_read(places, monkeypatch, kind):
    monkeypatch.setattr(kept, "_is_private", lambda group: True)
    keep_in(places)
    file = places[0] / "key" / "name"
    if kind == "group":
        file.chmod(0o660)
    else:
        os.rename(file, file.with_name("other"))
        {"link": lambda: file.symlink_to("other"), "pipe": lambda: os.mkfifo(file), "folder": file.mkdir}[kind]()
    assert kept.read("key", "name") is None


def test_what_was_opened_is_what_is_read(places, monkeypatch, tmp_path):
    keep_in(places)
    planted = tmp_path / "planted"
    (planted / "key").mkdir(parents=True)
    (planted / "key" / "name").write_bytes(kept._digest("name", b"planted") + b"planted")
    first_that_fits = kept._first_that_fits

    def exchanged(key):
        folder = first_that_fits(key)
        os.rename(places[0], tmp_path / "away")
        os.rename(planted, places[0])
        return folder

    monkeypatch.setattr(kept, "_first_that_fits", exchanged)
    assert kept.read("key", "name") == b"content"


def test_without_modes_and_descriptors_of_folders_files_are_kept_all_the_same(places, monkeypatch):
    monkeypatch.setattr(kept, "CHECKED", False)
    assert keep_in(places) == 0
    assert kept.read("key", "name") == b"content"
    assert kept.has("key", "name")
    assert len(list(kept._places())) == 3  # the folder for temporary files may be everybody's there


def test_who_has_no_home_keeps_code_elsewhere(places, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    for name in PLACES[:2]:
        monkeypatch.delenv(name)
    assert keep_in(places) == 3
