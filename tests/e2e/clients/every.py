# SPDX-License-Identifier: BSD-2-Clause
"""Each allocation and each system call of a program fails once, one a run (fault 75).

    every.py malloc|call end CMD...          a program that ends by itself
    every.py malloc|call start SOCKET CMD... a daemon, until it says that it is ready
    every.py malloc|call ask SOCKET STATE CMD...
                                             each request of a daemon; what its state directory
                                             holds at first is in STATE.kept, $STACK was seen

Allocations are told apart by who asks (trouble.c; $TROUBLE_LIBRARY, $TROUBLE_SITES): one of
each site fails. System calls are failed by strace, each one by its name and number, with an
error that this call has. The program must end by itself, with a word on stderr or the output
that it has otherwise; a daemon must be ready or have said why not; one that runs must go on.
Prints what became of how many; exit 1 if something else did.
"""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from trouble import REQUESTS, Asker

SECONDS = 180  # a kernel that was refused its BTF reads a program for half a minute
PATIENCE = 10  # as long as an Asker waits for an answer
TICKS = 2.5  # the daemon's own work comes each second
LATER = 5    # of it in one life
SITES = os.environ.get("TROUBLE_SITES", "")
LIBRARY = os.environ.get("TROUBLE_LIBRARY", "")
STACK = os.environ.get("STACK", "")
PIE = 0x555555554000  # where a program begins that setarch -R runs

# What no kernel refuses, what glibc takes no refusal of (brk, futex, signals, threads'
# own memory), and what has no effect when it fails (close, madvise). Nor is an unlock
# refused.
CANNOT = set("""arch_prctl brk close dup2 execve exit exit_group futex getegid geteuid getgid
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
    "ENOLCK": "fcntl flock",
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

    ROW = struct.Struct("34Q")
    SIZE = ROW.size << 14
    WHERE = 256  # behind it: the library whose allocation failed

    def __init__(self):
        with open(SITES, "wb") as f:
            f.write(bytes(self.SIZE + self.WHERE))
        self.f = os.open(SITES, os.O_RDWR)

    def clear(self):
        os.pwrite(self.f, bytes(self.SIZE + self.WHERE), 0)

    def fail(self, site):
        os.pwrite(self.f, struct.pack("QQ", site, 0), 0)

    def failed(self):
        return struct.unpack("Q", os.pread(self.f, 8, 8))[0] > 0

    def where(self):
        return os.path.basename(os.pread(self.f, self.WHERE, self.SIZE).split(b"\0")[0].decode())

    def seen(self):
        """{site: who asked, from the inside}"""
        table = os.pread(self.f, self.SIZE, 0)
        return {who: rows for who, _, *rows in self.ROW.iter_unpack(table[self.ROW.size:]) if who}


def malloc_points(run):
    """One run for each site that two runs without a failure came by."""
    sites = Sites()
    sites.fail(0)
    yield None, run([]), sites
    run([])
    for site in sorted(sites.seen()):
        sites.fail(site)
        result = run([])
        if sites.failed():
            yield f"{site:016x}", result, sites


# ---- system calls, by name and number --------------------------------------------------------

def calls_of(log):
    """Each (name, so-manieth of its thread) that can fail."""
    n, points = {}, set()
    for line in log.splitlines():
        if m := re.match(r"(\d+) +(\w+)\(", line):
            n[m.groups()] = n.get(m.groups(), 0) + 1
            if m[2] not in CANNOT and not re.search(r"F_SETLKW?, \{l_type=F_UNLCK", line):
                points.add((m[2], n[m.groups()]))
    return points


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

HASTE = {"rule": "src 203.0.115.%d action count reason x", "confirm_within": "1h"}
# Asked together. Not detach, rule.flush and panic: the blocked source shall stay blocked.
SCENES = [*([request] for request in REQUESTS),
          [("attach", {"device": "eth0"})],
          [("source.show", {"addr": "10.7.0.4"})],
          [("fp.show", {"name": STACK})],
          [("fp.label", {"stack": STACK, "label": "x"})],
          [("rule.import", {"rules": ["src 203.0.114.1 action count reason x"]})],
          [("rule.add", {"rule": "src 203.0.113.%d action count reason x"}),
           ("rule.enforce", {"handle": 0}),
           ("rule.del", {"handle": 0})],
          [("rule.add", {"rule": "src 203.0.113.%d action drop reason x", "dry_run": True})],
          [("rule.add", HASTE), ("commit.confirm", {}), ("rule.del", {"handle": 0})],
          [("rule.add", HASTE), ("commit.rollback", {})],
          [("allow.add", {"cidr": "192.0.3.1", "reason": "x"}), ("allow.del", {"cidr": "192.0.3.1"})],
          [("farm.list", {})],
          [("farm.show", {"id": "f1"})],
          [("farm.history", {"id": "f1"})],
          [("farm.mark", {"id": "f1", "mark": "confirmed", "reason": "x"})],
          [("plan.apply", {"ids": ["f1"], "dry_run": True})],
          [("plan.apply", {"ids": ["f1"], "count": True})],
          [("events", {})],
          [("config.show", {})],
          [("panic", {"on": False})],
          [("capture.start", {"rate": 10}), ("capture.fetch", {"id": 0}), ("capture.stop", {"id": 0})],
          [("audit.verify", {})]]
WALK = [request for scene in SCENES for request in scene]


class Life:
    """A daemon from its start on, in the state directory as it was kept."""

    def __init__(self, control, state, *program):
        shutil.rmtree(state)
        shutil.copytree(state + ".kept", state)
        self.said = tempfile.TemporaryFile()
        self.p = subprocess.Popen(command([], program), stdout=self.said, stderr=self.said)
        assert until_ready(self.p, self.said.fileno(), control), self.words()
        self.asker = Asker(control, self.p.pid)

    def words(self):
        return os.pread(self.said.fileno(), 1 << 20, 0)[-600:]

    def end(self):
        self.p.send_signal(signal.SIGTERM)
        try:
            return self.p.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.p.kill()
            return self.p.wait()


MOVING = {"packets": "as many as came", "baseline_until": "null before the first window"}


def shape(answer):
    """All of it but the values: what was left out shows."""
    if isinstance(answer, dict) and "exit" in answer:
        return f"{answer['exit']} {answer['error']} {shape(answer['data'])}"
    if isinstance(answer, dict):
        return str(sorted((k, MOVING.get(k) or shape(v)) for k, v in answer.items()))
    return str([shape(v) for v in answer]) if isinstance(answer, list) else type(answer).__name__


def differs(it, shapes):
    """Where a shape begins to be none of those, and what the likest has there."""
    def same(other):
        return next((i for i, (a, b) in enumerate(zip(it, other)) if a != b), min(len(it), len(other)))

    likest = max(shapes, key=same)
    at = max(0, same(likest) - 40)
    return f"{it[at:at + 120]!r} where it was {likest[at:at + 120]!r}"


class Walk:
    """All requests to a new daemon, then what it does by itself. Sites fail when they are come
    by: `at` {request: site} in that request, `later` [site] after the last one, each in its
    time, or one `anywhere`."""

    def __init__(self, sites, how, at=(), later=(), anywhere=0):
        life = Life(*how)
        ask = life.asker.ask
        self.sites, self.answers, self.seen = sites, [], {}
        self.hits = {}  # {site: (request, or None for between them; the library)}
        learning = not at and not later
        sites.clear()
        sites.fail(anywhere)
        for i, request in enumerate(WALK):
            if not anywhere:
                sites.fail(dict(at).get(i, 0))
            self.answers.append(ask(*request))
            self.note(anywhere or dict(at).get(i), i)
            if learning and not anywhere:
                self.seen = {site: (i, who) for site, who in sites.seen().items()} | self.seen
        for site in [anywhere] if anywhere or learning else later:
            if not anywhere:
                sites.fail(site)
            until = time.time() + TICKS
            while time.time() < until and site not in self.hits:
                time.sleep(0.01)
                self.note(site, None)
        self.seen = {site: (None, who) for site, who in sites.seen().items()} | self.seen
        sites.fail(0)
        self.whole = all(life.asker.good(ask(verb, {})) for verb in ("status", "audit.verify"))
        self.code, self.words = life.end(), life.words()

    def note(self, site, request):
        if site and site not in self.hits and self.sites.failed():
            self.hits[site] = request, self.sites.where()

    def judge(self, site, shapes):
        """Whether that was right, and what it was."""
        request, where = self.hits[site]
        at = "between requests" if request is None else WALK[request][0]
        answer = None if request is None else self.answers[request]
        if self.code or not self.whole:
            return False, f"{at}: exit {self.code}, {where}, {self.words!r}"
        if request is None:
            return True, at
        if answer is None or (answer["exit"] and answer["error"]):
            return True, "the request failed"
        if shape(answer) in shapes[request]:
            return True, "it was answered whole"
        return False, f"{at}: not whole: {differs(shape(answer), shapes[request])}: {str(answer)[:300]}"


def named(rows, program):
    """The functions of the program itself that led there, from the inside."""
    addresses = [f"{a - PIE:#x}" for a in rows if PIE <= a < PIE + os.path.getsize(program)]
    said = subprocess.run(["addr2line", "-f", "-e", program, *addresses], capture_output=True, text=True)
    return " < ".join(said.stdout.split("\n")[0:-1:2])


def learn(sites, how):
    """Two lives without a failure: {site: (its first request, who asks)}, and all shapes that
    each answer had."""
    lives = [Walk(sites, how) for _ in range(2)]
    assert all(life.whole and not life.code for life in lives), [life.words for life in lives]
    bad = [WALK[i][0] for i, answer in enumerate(lives[0].answers) if not Asker.good(answer)]
    print(f"not done with nothing failing: {' '.join(bad) or 'none'}", flush=True)
    return lives[1].seen | lives[0].seen, [{shape(x.answers[i]) for x in lives} for i in range(len(WALK))]


def in_company(sites, how, who, shapes, out):
    """Many fail in one life, no two of them in one request. Returns those that it is not
    certain of: not come by, or not right."""
    queue, left = {}, []
    for site, (request, _) in sorted(who.items()):
        queue.setdefault(request, []).append(site)
    print("sites:", ", ".join(f"{len(q)} {'between' if i is None else WALK[i][0]}"
                              for i, q in queue.items()), flush=True)
    while any(queue.values()):
        at = {i: q.pop() for i, q in queue.items() if q and i is not None}
        later = [queue[None].pop() for _ in range(min(LATER, len(queue.get(None, []))))]
        walk = Walk(sites, how, at, later)
        for site in [*at.values(), *later]:
            right, text = walk.judge(site, shapes) if site in walk.hits else (False, "")
            if right:
                out.add(text)
            else:
                left.append(site)
    return left


def ask_malloc(*how):
    """Each site that is come by when nothing fails; most are only once in a life. What is not
    when it shall fail, in three lives of its own, is listed."""
    sites, out, never = Sites(), Outcomes(WHAT), 0
    who, shapes = learn(sites, how)
    for site in in_company(sites, how, who, shapes, out):
        name = named(who[site][1], how[2])
        for _ in range(3):
            walk = Walk(sites, how, anywhere=site)
            if walk.hits:
                right, text = walk.judge(site, shapes)
                (out.add if right else lambda text: out.wrong(name, text))(text)
                break
        else:
            never += 1
            print(f"did not come again: {name}", flush=True)
    print(f"{never} of {len(who)} sites did not come again")
    return out.end()


class Attached:
    """strace at work on a process that runs."""

    def __init__(self, pid, *options):
        self.p = subprocess.Popen(["strace", "-f", "-o", LOG, *options, "-p", str(pid)], stderr=subprocess.PIPE)
        self.p.stderr.readline()  # "Process N attached"

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.p.send_signal(signal.SIGINT)
        self.p.communicate()


def ask_call(*how):
    """Each of a life's, scene by scene. Not fcntl's: strace knows a lock from its release by
    the number alone, which a failure shifts; a release that failed, as no kernel's does, would
    hold the database for ever. e2e/33 holds its locks instead."""
    life, out, never = Life(*how), Outcomes(WHAT), []

    def play(*options):
        with Attached(life.asker.pid, *options):
            return all([life.asker.good(life.asker.ask(*request)) for request in scene])

    def timed(*options):
        begun = time.monotonic()
        return play(*options), time.monotonic() - begun >= PATIENCE

    for scene in SCENES:
        play()
        for name, n in sorted(calls_of(log())):
            if name == "fcntl":
                continue
            for last in (False, False, True):
                if last:  # one that is made once in a life: reading what is kept from then on
                    if life.end():
                        out.wrong(f"{name} {n}", f"{scene[0][0]}: {life.words()!r}")
                    life = Life(*how)
                good, slow = timed(*inject(name, n))
                if slow and timed()[1]:
                    out.wrong(f"{name} {n}", f"{scene[0][0]}: no answer since")
                    return False
                if "(INJECTED)" in log():
                    out.add("the request went through" if good else "the request failed")
                    break
            else:
                never.append(f"{scene[0][0]}: {name} {n}")
            if not life.asker.alive():
                out.wrong(f"{name} {n}", f"{scene[0][0]}: the daemon died, {life.words()!r}")
                return False
    for text in never:
        print(f"did not come again: {text}")
    print(f"{len(never)} did not come again in three requests, the last of another life")
    return life.end() == 0 and out.end()


WHAT, HOW, *REST = sys.argv[1:]
LOG = tempfile.NamedTemporaryFile(prefix="every.", delete=False).name
try:
    if HOW == "ask":
        fine = {"malloc": ask_malloc, "call": ask_call}[WHAT](*REST)
    else:
        fine = end(REST) if HOW == "end" else start(*REST)
finally:
    os.unlink(LOG)
sys.exit(not fine)
