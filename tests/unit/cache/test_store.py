"""The store: nothing that lies in its folder, and no failure to read or write there, is more than a miss."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import dsl
from dsl import store as module
from dsl.store import BLOCK, Store, digest, store

ROOT = Path(__file__).resolve().parents[3]
KEY = digest("a key")


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(str(tmp_path), 1 << 20)


def file_of(kept: Store) -> Path:
    (found,) = Path(kept.folder).glob("??/*")
    return found


def test_what_is_put_is_got_and_nothing_else(kept: Store) -> None:
    assert kept.get("a", KEY) is None
    for body in (b"", b"x", bytes(range(256)) * 100):
        kept.put("a", KEY, body)
        assert kept.get("a", KEY) == body
        assert kept.get("b", KEY) is None
        assert kept.get("a", digest("another")) is None
    assert file_of(kept).stat().st_mode & 0o077 == 0


def test_keys_do_not_run_together() -> None:
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("", "abc"), digest("abc", "")}) == 5


def test_damage_anywhere_is_a_miss(kept: Store) -> None:
    kept.put("a", KEY, b"the contents")
    good = file_of(kept).read_bytes()
    for at in range(len(good)):
        file_of(kept).write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert kept.get("a", KEY) is None, at
        file_of(kept).write_bytes(good[:at])
        assert kept.get("a", KEY) is None, at
    file_of(kept).write_bytes(good + b"\0")
    assert kept.get("a", KEY) is None
    os.truncate(file_of(kept), 1 << 40)  # more than memory has
    assert kept.get("a", KEY) is None
    kept.put("a", KEY, b"other contents")
    assert kept.get("a", KEY) == b"other contents"


def test_an_entry_under_anothers_name_is_a_miss(kept: Store) -> None:
    kept.put("a", KEY, b"the contents")
    other = KEY[:-1] + ("0" if KEY[-1] != "0" else "1")
    file_of(kept).rename(file_of(kept).with_name(f"{other}.a"))
    assert kept.get("a", other) is None


def test_failures_to_write_are_silent_and_leave_nothing(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        kept.put("a", KEY, b"the contents")
    assert kept.get("a", KEY) is None
    assert list(Path(kept.folder).glob("??/*")) == []
    gone = Store(str(Path(kept.folder) / "gone"), 1 << 20)
    gone.put("a", KEY, b"the contents")
    assert gone.get("a", KEY) is None
    assert gone.entries() == []


def test_a_write_that_is_cut_short_goes_on(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, bytes(data[:3])))
        kept.put("a", KEY, b"the contents")
    assert kept.get("a", KEY) == b"the contents"


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    kept = Store(str(tmp_path), 64 * BLOCK)
    keys = [digest(str(k)) for k in range(200)]
    for age, key in enumerate(keys):
        kept.put("a", key, bytes(BLOCK // 2))
        os.utime(kept._path("a", key), (age + 1, age + 1))
        kept.get("a", keys[0])  # used all the time
        assert sum(size for _, size, _ in kept.entries()) <= kept.limit
    there = [key for key in keys if kept.get("a", key) is not None]
    assert len(there) > 20
    assert there == [keys[0], *keys[-len(there) + 1 :]]
    kept.put("a", digest("large"), bytes(kept.limit // 2))
    assert kept.get("a", digest("large")) is None
    kept.clear()
    assert kept.entries() == []


def test_temporary_files_of_the_dead_are_removed(tmp_path: Path) -> None:
    kept = Store(str(tmp_path), 1 << 20)
    kept.put("a", KEY, b"the contents")
    old, new = (file_of(kept).with_name(f"{name}.new") for name in ("old", "fresh"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    kept.trim()
    assert (old.exists(), new.exists(), kept.get("a", KEY)) == (False, True, b"the contents")


def test_the_environment_says_whether_and_where(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = store()
    assert kept is not None and Path(kept.folder).parent == own_store
    for value in ("0", "off"):
        monkeypatch.setenv("DFL_CACHE", value)
        assert store() is None
    monkeypatch.delenv("DFL_CACHE")
    monkeypatch.setenv("DFL_CACHE_SIZE", "0")
    assert store() is None
    monkeypatch.setenv("DFL_CACHE_SIZE", "3")
    assert (kept := store()) is not None and kept.limit == 3 << 20


def test_a_folder_that_is_anothers_is_not_used_and_said_once(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_warned", False)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for size in ("7", "8"):
            monkeypatch.setenv("DFL_CACHE_SIZE", size)
            assert store() is None
            assert dsl.loads("f(x) = x^2").f(3.0) == 9.0
    assert len(found) == 1 and str(own_store) in str(found[0].message)


def test_a_folder_inside_that_others_can_write_is_not_used(own_store: Path) -> None:
    (own_store / "store").mkdir(parents=True)
    os.chmod(own_store / "store", 0o777)
    assert store() is None


def test_writers_at_once(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom dsl.store import Store, digest\nkept = Store(sys.argv[1], 1 << 18)\n"
        "for k in range(300):\n"
        "    key, body = digest(str(k % 40)), str(k % 40).encode() * 999\n"
        "    found = kept.get('a', key)\n"
        "    assert found in (None, body), k\n"
        "    kept.put('a', key, body)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert not list(tmp_path.glob("??/*.new"))


def test_the_fingerprint_is_that_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.py").write_text("x = 1\n")
    monkeypatch.setattr(module, "_package", str(tmp_path))

    def now() -> str:
        module._print.clear()
        return module.fingerprint()

    first = now()
    assert now() == first
    os.utime(tmp_path / "inner" / "a.py", (1, 1))
    assert now() != first
    monkeypatch.setattr(module, "_package", str(tmp_path / "a.zip"))
    assert now() != now()
    monkeypatch.undo()
    module._print.clear()


def test_object_code_is_made_once(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dsl.runtime import llvm

    made = []
    compile = llvm.object_code
    monkeypatch.setattr(llvm, "object_code", lambda text, level: made.append(level) or compile(text, level))
    for _ in range(3):
        assert dsl.loads("f(x, n) = x^n + 0.25", cache=False).f(3.0, 2) == 9.25
    assert len(made) == 3
    for _ in range(3):
        assert dsl.loads("f(x, n) = x^n + 0.25").f(3.0, 2) == 9.25
    assert len(made) == 4
    for file in own_store.glob("store/??/*"):
        file.write_bytes(file.read_bytes()[:-1])
    assert dsl.loads("f(x, n) = x^n + 0.25").f(3.0, 2) == 9.25
    assert len(made) == 5


@pytest.mark.slow
def test_many_processes_on_a_cache_that_is_damaged(tmp_path: Path) -> None:
    """A slice of the campaign."""
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": f"{ROOT / 'tools'}:{ROOT}"}
    command = [sys.executable, "-m", "cache_storm", "--rounds", "2", "--processes", "6", "--seed", "7"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("2 rounds of 6 processes, 0 with failures\n", "")
