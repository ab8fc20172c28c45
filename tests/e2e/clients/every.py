# SPDX-License-Identifier: BSD-2-Clause
"""Each allocation and each system call of a program fails once, one a run (fault 75).

    every.py malloc|call end CMD...          a program that ends by itself
    every.py malloc|call start SOCKET CMD... a daemon, until it says that it is ready
    every.py malloc|call ask SOCKET PID      each request of a daemon that runs already

Allocations are told apart by who asks (trouble.c; $TROUBLE_LIBRARY, $TROUBLE_SITES): one of
each site fails. System calls are failed by strace, each one by its name and number, with an
error that this call has. The program must end by itself, with a word on stderr or the output
that it has otherwise; a daemon must be ready or have said why not; one that runs must go on.
Prints what became of how many; exit 1 if something else did.
"""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from trouble import REQUESTS, Asker

SECONDS = 180  # a kernel that was refused its BTF reads a program for half a minute
SITES = os.environ.get("TROUBLE_SITES", "")
LIBRARY = os.environ.get("TROUBLE_LIBRARY", "")

# What no kernel refuses, what glibc takes no refusal of (brk, futex, signals, threads'
# own memory), and what has no effect when it fails. Of fcntl strace cannot tell an unlock,
# which always works, from a lock; e2e/33 holds the database's locks instead.
CANNOT = set("""arch_prctl brk close dup2 execve exit exit_group fcntl futex getegid geteuid getgid
    getpid getppid gettid getuid madvise prlimit64 rseq rt_sigaction rt_sigprocmask rt_sigreturn
    restart_syscall sched_getaffinity sched_yield set_robust_list set_tid_address sysinfo umask uname
    wait4""".split())
ERRORS = {
    "EMFILE": "accept4 dup epoll_create1 eventfd2 inotify_init1 open openat pipe2 signalfd4 socket "
              "timerfd_create",
    "ENOMEM": "bpf mmap mprotect mremap munmap recvmsg sendmsg setsockopt poll ppoll",
    "ENOSPC": "epoll_ctl fallocate ftruncate mkdir pwrite64 rename write",
    "EINTR": "clock_nanosleep epoll_pwait epoll_wait nanosleep select",
    "EAGAIN": "clone clone3 getrandom",
    "EPERM": "capget capset chmod chown fchmod fchown membarrier prctl",
    "EADDRINUSE": "bind",
    "ECONNREFUSED": "connect",
    "ECONNRESET": "recvfrom",
    "EPIPE": "sendto",
    "ENOLCK": "flock",
}
ERROR = {name: error for error, names in ERRORS.items() for name in names.split()}


class Outcomes:
    """How often what came of it, and what should not have."""

    def __init__(self, what):
        self.what, self.n, self.bad, self.points = what, {}, 0, 0

    def add(self, text):
        self.points += 1
        self.n[text] = self.n.get(text, 0) + 1

    def wrong(self, point, text):
        self.points += 1
        self.bad += 1
        print(f"{self.what} {point}: {text}", flush=True)

    def end(self):
        said = "; ".join(f"{n} {text}" for text, n in sorted(self.n.items(), key=lambda x: -x[1]))
        print(f"{self.points} {self.what}s failed: {said}", flush=True)
        return self.bad == 0 and self.points > 0


# ---- allocations, by site --------------------------------------------------------------------

class Sites:
    """The table that trouble.c shares."""

    SIZE = 16 << 16
    WHERE = 256  # behind it: the library whose allocation failed

    def __init__(self):
        with open(SITES, "wb") as f:
            f.write(bytes(self.SIZE + self.WHERE))
        self.f = os.open(SITES, os.O_RDWR)

    def fail(self, site):
        os.pwrite(self.f, struct.pack("QQ", site, 0), 0)

    def failed(self):
        return struct.unpack("Q", os.pread(self.f, 8, 8))[0] > 0

    def where(self):
        return os.path.basename(os.pread(self.f, self.WHERE, self.SIZE).split(b"\0")[0].decode())

    def seen(self):
        table = os.pread(self.f, self.SIZE, 0)
        return {who for who, n in struct.iter_unpack("QQ", table[16:]) if who}


def malloc_points(run):
    """One run for each site, those too that only a failure leads to."""
    sites, done = Sites(), set()
    sites.fail(0)
    yield None, run([]), sites
    while todo := sites.seen() - done:
        for site in sorted(todo):
            done.add(site)
            sites.fail(site)
            result = run([])
            if sites.failed():
                yield f"{site:016x}", result, sites


# ---- system calls, by name and number --------------------------------------------------------

def calls_of(log):
    """Each (name, so-manieth of its thread) that can fail."""
    n = {}
    for line in log.splitlines():
        if m := re.match(r"(\d+) +(\w+)\(", line):
            n[m.groups()] = n.get(m.groups(), 0) + 1
    return {(name, i) for (_, name), many in n.items() if name not in CANNOT for i in range(1, many + 1)}


def calls_behind_the_loader(log):
    """Without what ld.so does before main, where it ends itself or says so: it is over when
    it gives its cache back."""
    lines = log.splitlines()
    loaded = next(i for i, line in enumerate(lines) if " munmap(" in line)
    return calls_of(log) - calls_of("\n".join(lines[:loaded + 1]))


def strace(*options):
    return ["strace", "-D", "-f", "-qq", "-o", LOG, *options]


def inject(name, n):
    return ["-e", f"trace={name}", "-e", f"inject={name}:error={ERROR.get(name, 'EIO')}:when={n}"]


def log():
    with open(LOG, errors="replace") as f:
        return f.read()


def call_points(run):
    yield None, run(strace()), None
    for name, n in sorted(calls_behind_the_loader(log())):
        result = run(strace(*inject(name, n)))
        if "(INJECTED)" in log():
            yield f"{name} {n}", result, None


POINTS = {"malloc": malloc_points, "call": call_points}

# ---- programs ----------------------------------------------------------------------------------

def command(tracer, program):
    """With the same addresses in each run."""
    return ["setarch", "-R", *tracer, *program] if WHAT == "call" else \
        ["setarch", "-R", "env", f"LD_PRELOAD={LIBRARY}", *program]


def judge_end(out, point, p, whole, sites):
    if p is None:
        out.wrong(point, f"it did not end in {SECONDS} s")
    elif p.returncode == 0 and p.stdout == whole.stdout:
        out.add("made no difference")
    elif 0 < p.returncode < 128 and p.stderr.strip():
        out.add("were said")
    elif sites and p.returncode < 0 and sites.where().startswith("libcrypto"):
        out.add("ended in OpenSSL's own start")
    else:
        where = sites.where() if sites else ""
        out.wrong(point, f"exit {p.returncode}, {len(p.stdout)} bytes, {p.stderr[-200:]!r} {where}")


def end(program):
    def run(tracer):
        try:
            return subprocess.run(command(tracer, program), capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return None

    out, whole = Outcomes(WHAT), None
    for point, p, sites in POINTS[WHAT](run):
        if point is None:
            assert p.returncode == 0 and p.stdout, p.stderr
            whole = p
        else:
            judge_end(out, point, p, whole, sites)
    return out.end()


# ---- a daemon's start ----------------------------------------------------------------------------

def listens(path):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(path) == 0


def until_ready(p, log_file, control):
    """True: it is. False: it ended. None: neither."""
    begun = time.time()
    while time.time() < begun + SECONDS:
        if b"ready, listening" in os.pread(log_file, 1 << 20, 0):
            return True
        if time.time() > begun + 20 and listens(control):  # what failed was to say so
            return True
        if p.poll() is not None:
            return False
        time.sleep(0.005)
    return None


def start(control, *program):
    def run(tracer):
        with tempfile.TemporaryFile() as said:
            p = subprocess.Popen(command(tracer, program), stdout=said, stderr=said)
            ready = until_ready(p, said.fileno(), control)
            if ready is not False:
                p.send_signal(signal.SIGTERM if ready else signal.SIGKILL)
            try:
                code = p.wait(SECONDS)
            except subprocess.TimeoutExpired:
                p.kill()
                ready, code = None, p.wait()
            return ready, code, os.pread(said.fileno(), 1 << 20, 0)

    out = Outcomes(WHAT)
    for point, (ready, code, said), sites in POINTS[WHAT](run):
        if point is None:
            assert ready and code == 0, said
        elif ready and code == 0:
            out.add("and it was ready")
        elif ready is False and 0 < code < 128 and said.strip():
            out.add("and it said why not")
        elif sites and code < 0 and sites.where().startswith("libcrypto"):
            out.add("ended in OpenSSL's own start")
        else:
            out.wrong(point, f"ready {ready}, exit {code}, {said[-300:]!r} {sites and sites.where()}")
    return out.end()


# ---- requests -------------------------------------------------------------------------------------

def ask_malloc(asker):
    sites, out, done, never = Sites(), Outcomes(WHAT), set(), 0
    for verb in REQUESTS:
        asker.ask(*verb)
        asker.ask(*verb)
        while todo := sites.seen() - done:
            for site in sorted(todo):
                done.add(site)
                sites.fail(site)
                answer = asker.ask(*verb)
                if not sites.failed():
                    answer = asker.ask(*verb)
                if not asker.alive():
                    out.wrong(f"{site:016x}", f"{verb[0]}: the daemon died, {sites.where()}")
                    return False
                if not sites.failed():
                    never += 1
                else:
                    out.add("the request went through" if asker.good(answer) else "the request failed")
                sites.fail(0)
    print(f"{never} of {len(done)} sites did not come again")
    return out.end()


class Attached:
    """strace at work on a process that runs."""

    def __init__(self, pid, *options):
        self.p = subprocess.Popen(["strace", "-f", "-o", LOG, *options, "-p", pid], stderr=subprocess.PIPE)
        self.p.stderr.readline()  # "Process N attached"

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.p.send_signal(signal.SIGINT)
        self.p.communicate()


def ask_call(asker):
    out = Outcomes(WHAT)
    for verb in REQUESTS:
        with Attached(asker.pid):
            asker.ask(*verb)
        for name, n in sorted(calls_of(log())):
            with Attached(asker.pid, *inject(name, n)):
                answer = asker.ask(*verb)
            if not asker.alive():
                out.wrong(f"{name} {n}", f"{verb[0]}: the daemon died")
                return False
            if "(INJECTED)" in log():
                out.add("the request went through" if asker.good(answer) else "the request failed")
    return out.end()


WHAT, HOW, *REST = sys.argv[1:]
LOG = tempfile.NamedTemporaryFile(prefix="every.", delete=False).name
try:
    if HOW == "ask":
        fine = {"malloc": ask_malloc, "call": ask_call}[WHAT](Asker(*REST))
    else:
        fine = end(REST) if HOW == "end" else start(*REST)
finally:
    os.unlink(LOG)
sys.exit(not fine)
