"""Faults of the host, for real: a small file system, a server of one's own that can be crashed, a clock that jumps."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from kinhteso import warehouse
from kinhteso.local.postgres import EmbeddedPostgres
from psycopg.conninfo import make_conninfo

CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long offset(void) {
  char text[32] = {0}; const char *path = getenv("FAULTS_CLOCK");
  int f = path ? open(path, O_RDONLY) : -1;
  if (f < 0) return 0;
  if (read(f, text, 31) < 0) text[0] = 0;
  close(f);
  return atol(text);
}
int clock_gettime(clockid_t id, struct timespec *t) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int r = real(id, t);
  if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) t->tv_sec += offset();
  return r;
}
int gettimeofday(struct timeval *restrict v, void *restrict z) {
  struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
  v->tv_sec = t.tv_sec; v->tv_usec = t.tv_nsec / 1000; return 0;
}
time_t time(time_t *p) {
  struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
  if (p) *p = t.tv_sec;
  return t.tv_sec;
}
"""


@contextmanager
def small_disk(megabytes: int):
    """A file system of that size that every user may write to. Skips the test, with a word, where mounting is not allowed."""
    path = Path(tempfile.mkdtemp(prefix="kinhteso-small-"))
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        path.rmdir()
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False)
        path.rmdir()


@contextmanager
def full(folder: Path, left: int = 0):
    """Fill the disk of ``folder`` up to ``left`` bytes, and give the room back afterwards."""
    ballast = folder / "ballast"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with ballast.open("wb") as f:
        os.posix_fallocate(f.fileno(), 0, max(1, free - left))
    try:
        yield
    finally:
        ballast.unlink(missing_ok=True)


class Server:
    """A PostgreSQL of its own, as in production: it keeps what it has committed, whatever happens to it."""

    def __init__(self, home: Path, wal: Path | None = None) -> None:
        self.postgres, self.back = EmbeddedPostgres(home, throwaway=False), threading.Event()
        self.postgres.start()
        if wal is not None:
            self.postgres.stop()
            with (self.postgres.data / "postgresql.conf").open("a") as f:
                f.write("min_wal_size = 32MB\nmax_wal_size = 48MB\nshared_buffers = 32MB\n")
            there, own = wal / "pg_wal", self.postgres.data / "pg_wal"
            shutil.copytree(own, there)
            for path in (there, *there.rglob("*")):
                self.postgres._give(path)
            shutil.rmtree(own)
            own.symlink_to(there)
            self.postgres.start()

    @property
    def dsn(self) -> str:
        return self.postgres.dsn()

    def database(self, name: str) -> str:
        """A migrated warehouse."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(f"create database {name}")  # type: ignore[arg-type]
        dsn = make_conninfo(self.dsn, dbname=name)
        with warehouse.connect(dsn) as conn:
            warehouse.migrate(conn)
        return dsn

    def up(self) -> None:
        """Start it again on its port, through recovery."""
        if self.postgres.is_running():
            return
        (self.postgres.data / "postmaster.pid").unlink(missing_ok=True)
        self.postgres._run(
            "pg_ctl",
            "-D",
            str(self.postgres.data),
            "-o",
            f"-p {self.postgres._port()}",
            "-l",
            str(self.postgres.home / "postgres.log"),
            "-w",
            "-t",
            "60",
            "start",
        )

    def crash(self) -> None:
        """Immediate stop: no checkpoint, as after a power cut; and up again. ``back`` is set when it answers."""
        self.back.clear()
        self.postgres._run("pg_ctl", "-D", str(self.postgres.data), "-m", "immediate", "-w", "-t", "30", "stop")
        self.up()
        self.back.set()


@contextmanager
def server(wal: Path | None = None):
    """A running `Server`; gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="kinhteso-server-"))
    home.chmod(0o755)
    own = None
    try:
        own = Server(home, wal)
        yield own
    finally:
        if own:
            own.postgres.stop()
        shutil.rmtree(home, ignore_errors=True)


class Clock:
    """A clock that processes see which are started with `environment`; `jump` moves it while they run, also those of another user."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("no C compiler here, so no clock can be moved")
        (folder / "clock.c").write_text(CLOCK)
        self._file, library = folder / "offset", folder / "clock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(folder / "clock.c"), "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(self._file)}
        self.jump(0)

    def jump(self, seconds: int) -> None:
        self._file.write_text(str(seconds))
        self._file.chmod(0o644)


@contextmanager
def clock():
    """A `Clock`. Its folder is none of pytest's: those are closed to the user that PostgreSQL runs as."""
    folder = Path(tempfile.mkdtemp(prefix="kinhteso-clock-"))
    folder.chmod(0o755)
    try:
        yield Clock(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
