# SPDX-License-Identifier: BSD-2-Clause
"""plan.py - who visits the lab's edge, from where, when: all of it from one seed.

    plan.py --out DIR [--seed N] [--family both|4|6] [--seconds S] [--baseline S]
            [--scale F] [--waves 1|2] [--farm-stack STACK] [--relay-stack STACK]

Writes into DIR (0700):
    visits/NS.STACK[.waveN]  schedules for the clients (format: clients/visit.mjs)
    rules, legs              distances for the forwarder: to the edge, behind world
    tinyproxy.conf danted.conf haproxy.cfg
    truth.tsv (0600)         SRC STACK ROLE, what a detector has to find out by itself
    story.json               the numbers of this run, for the summary

Roles. honest: every stack, own distance of 5-80 ms, own pace. honest-same: honest, on
the farm's own stack. home: honest people whose address is one of the farm's exits. farm:
one stack, one scheduler, exits of two proxy programs, a leg of 20-80 ms behind them.
pods: identical, three prefixes, even load. relay: people behind one TCP relay, each
with an own distance. load: a load test from one prefix. With --waves 2 the farm has a
second set of exits, for after the first was dropped; behind some of them are people with
a browser of their own, behind others (home-same) some with the farm's own stack.

Seed 0 is the story of the README; any other shuffles addresses and stacks over roles.
"""
import argparse
import ipaddress
import json
import os
import random

EDGE = {4: "198.51.100.10", 6: "2001:db8:ed9e::10"}
TINYPROXY, DANTE, RELAY = 8888, 1080, 8443

# Stacks that one process can present from thousands of sources, any role ...
BULK = ["node-h2", "python", "node-https", "java", "wreq-chrome_142", "wreq-firefox_146"]
# ... and programs that make one visit each: honest only.
PROGRAMS = ["curl", "curl-h1", "gnutls", "openssl", "requests"]
# A preload gives wreq its source by the address it connects to: not behind a relay.
RELAY_STACKS = {"python", "node-https", "java", "node-h2"}


class Plan:
    def __init__(self, a):
        self.a, self.rng = a, random.Random(a.seed)
        self.visits, self.access, self.legs, self.truth, self.taken = {}, {}, {}, [], set()

    # ---- addresses -----------------------------------------------------------

    def family(self, six=0.3):
        return {"4": 4, "6": 6}.get(self.a.family) or (6 if self.rng.random() < six else 4)

    def address(self, family, prefix=None):
        """A source of its own: an IPv4 host, or the first host of an IPv6 /64."""
        r = self.rng
        while True:
            if family == 4:
                text = prefix or f"10.{r.randrange(256)}.{r.randrange(256)}"
                text += f".{r.randrange(1, 255)}"
            else:
                text = f"2001:db8:{prefix or format(r.randrange(0x100, 0x8000), 'x')}"
                text += f":{r.randrange(1, 0xffff):x}::1"
            text = str(ipaddress.ip_address(text))
            if text not in self.taken:
                self.taken.add(text)
                return text

    def prefix(self, family):
        r = self.rng
        if family == 4:
            return f"10.{r.randrange(256)}.{r.randrange(256)}"
        return format(r.randrange(0x100, 0x8000), "x")

    def behind(self, family):
        """An address in op."""
        r = self.rng
        if family == 4:
            return f"172.{r.randrange(20, 24)}.{r.randrange(256)}.{r.randrange(1, 255)}"
        return f"2001:db8:c{r.randrange(0xfff):03x}:{r.randrange(1, 0xffff):x}::1"

    # ---- bookkeeping ---------------------------------------------------------

    def far(self, where, src, rtt_ms, jitter_ms=0.0):
        where[src] = (rtt_ms / 2, jitter_ms)

    def role(self, src, stack, role):
        self.truth.append((src, stack, role))

    def visit(self, ns, stack, seconds, src, via, n, gap_ms, kind, tag, wave=1):
        if seconds < self.a.seconds:
            self.visits.setdefault((ns, stack, wave), []).append(
                (int(seconds * 1000), src, via, n, gap_ms, kind, tag))

    def scaled(self, n):
        return max(1, round(n * self.a.scale))

    # ---- roles ---------------------------------------------------------------

    def kind(self):
        return self.rng.choices(["post", "small", "sse", "big"], [58, 34, 7.5, 0.5])[0]

    def honest(self, stack, n, every, role="honest", src=None, wave=1, until=None):
        """Own distance, own pace (rates differ by a factor of ten), own habits."""
        r = self.rng
        for _ in range(n):
            address = src or self.address(self.family())
            if not src:
                self.far(self.access, address, r.uniform(5, 80), r.choice([0, 0, 0.3, 1]))
            self.role(address, stack, role)
            pace = every * r.lognormvariate(0, 0.6)
            at = r.uniform(0, min(pace, 12))
            while at < (until or self.a.seconds):
                self.visit("world", stack, at, address, "-", r.choice([1, 1, 2, 3, 5]),
                           r.randrange(100, 1500), self.kind(), role, wave)
                at += 0.5 + r.expovariate(1 / pace)

    def pods(self, stack, n, at):
        r, prefixes = self.rng, [self.prefix(self.family(0)) for _ in range(3)]
        for i in range(n):
            family = 6 if self.a.family == "6" else 4
            src = self.address(family, prefixes[i % 3])
            self.far(self.access, src, 4 + 3 * (i % 3))
            self.role(src, stack, "pods")
            t = at + r.uniform(0, 10)
            while t < self.a.seconds:
                self.visit("world", stack, t, src, "-", 2, 200, "post", "pods")
                t += r.uniform(9.5, 10.5)

    def relay(self, stack, exits, people):
        r = self.rng
        family = 6 if self.a.family == "6" else 4
        self.relays = [self.address(family, self.prefix(family)) for _ in range(exits)]
        for e in self.relays:
            self.far(self.access, e, r.uniform(5, 20))
            self.role(e, stack, "relay")
        for _ in range(people):
            me = self.behind(family)
            self.far(self.legs, me, r.uniform(10, 160), r.choice([0, 0.5, 2]))
            pace, at = 12 * r.lognormvariate(0, 0.6), r.uniform(0, 12)
            while at < self.a.seconds:
                e = r.choice(self.relays)
                self.visit("op", stack, at, me, f"tcp:{bracket(e)}:{RELAY}",
                           r.choice([1, 2, 3]), r.randrange(100, 1500), self.kind(), "relay")
                at += 0.5 + r.expovariate(1 / pace)

    def load(self, stack, at):
        r, prefix = self.rng, self.prefix(self.family(0))
        for _ in range(2):
            src = self.address(6 if self.a.family == "6" else 4, prefix)
            self.far(self.access, src, 12)
            self.role(src, stack, "load")
            for i in range(5 * int(self.a.seconds - at)):
                self.visit("world", stack, at + i / 5 + r.uniform(0, 0.02), src, "-", 4, 20,
                           "small", "load")

    def farm(self, stack, n, at, until, wave):
        """Rounds of ten seconds, every exit once a round, in an order of its own."""
        r = self.rng
        operator = {4: "172.20.0.1", 6: "2001:db8:c000:1::1"}
        exits = []
        for i in range(n):
            src = self.address(self.family())
            self.far(self.access, src, r.uniform(5, 60), r.choice([0, 0, 0.3]))
            self.far(self.legs, src, r.uniform(20, 80))
            self.role(src, stack, "farm" if wave == 1 else "farm-replaced")
            exits.append((src, "connect" if i % 2 else "socks", TINYPROXY if i % 2 else DANTE))
        while at < until:
            order = r.sample(exits, n)
            for i, (src, how, port) in enumerate(order):
                t = at + 10 * (i + r.random()) / n
                self.visit("op", stack, t, operator[6 if ":" in src else 4],
                           f"{how}:{bracket(src)}:{port}", r.choice([2, 2, 3]),
                           r.randrange(150, 400), "post",
                           "farm" if wave == 1 else "farm-replaced", wave)
            at += 10
        return exits


def bracket(address):
    return f"[{address}]" if ":" in address else address


def build(a):
    p = Plan(a)
    bulk = list(BULK)
    if a.seed:
        p.rng.shuffle(bulk)
    farm = a.farm_stack or bulk[0]
    rest = [s for s in bulk if s != farm]
    relay = a.relay_stack or next(s for s in bulk if s in RELAY_STACKS and s != farm)
    rest = [s for s in rest if s != relay]
    pods, load = rest[:2]
    pods_at, load_at = (0, 60) if not a.seed else p.rng.choice([(0, 60), (a.baseline, 20)])

    for stack in bulk:
        if stack != farm:
            p.honest(stack, p.scaled(15), 12)
    for stack in PROGRAMS:
        p.honest(stack, p.scaled(12), 20)
    p.honest(farm, max(30, p.scaled(40)), 9, "honest-same")
    p.pods(pods, p.scaled(200), pods_at)
    p.relay(relay, p.scaled(24), p.scaled(120))
    p.load(load, load_at)

    # Exits are other people's homes: some of them visit too, by a browser of their own.
    exits = p.farm(farm, p.scaled(300), a.baseline + 2, a.seconds, 1)
    for src, _, _ in p.rng.sample(exits, p.scaled(20)):
        p.honest(rest[2], 1, 15, "home", src)
    if a.waves == 2:
        fresh = p.farm(farm, p.scaled(300), 0, 60, 2)
        homes = p.rng.sample(fresh, 2 * p.scaled(20))
        for i, (src, _, _) in enumerate(homes):
            if i % 2:
                p.honest(rest[2], 1, 15, "home", src)
            else:
                p.honest(farm, 1, 9, "home-same", src, 2, 60)
        exits += fresh
    p.exits = exits
    p.story = {"seed": a.seed, "family": a.family, "seconds": a.seconds, "baseline_s": a.baseline, "farm_at_s": a.baseline + 2,
               "farm_stack": farm, "pods_stack": pods, "relay_stack": relay, "load_stack": load,
               "home_stack": rest[2], "stacks": sorted({s for _, s, _ in p.truth}),
               "sources": {role: len({t[0] for t in p.truth if t[2] == role})
                           for role in sorted({t[2] for t in p.truth})},
               "visits": sum(map(len, p.visits.values()))}
    return p


TINYPROXY_CONF = """\
User nobody
Group nogroup
Port %(port)d
Timeout 60
MaxClients 500
BindSame Yes
LogLevel Warning
Allow 172.16.0.0/12
Allow 2001:db8:8000::/33
ConnectPort 443
DisableViaHeader Yes
"""

DANTED_CONF = """\
logoutput: stderr
errorlog: stderr
internal: 0.0.0.0 port = %(port)d
internal: :: port = %(port)d
%(external)s
external.rotation: same-same
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass { from: 0/0 to: 0/0 }
socks pass { from: 0/0 to: 0/0 protocol: tcp }
"""

HAPROXY_CFG = """\
global
    maxconn 2000
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
"""


def write(p, out):
    def file(name, text, mode=0o644):
        path = os.path.join(out, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as f:
            f.write(text)

    for (ns, stack, wave), rows in p.visits.items():
        file(f"visits/{ns}.{stack}" + (f".wave{wave}" if wave > 1 else ""),
             "".join("%d %s %s %d %d %s %s\n" % row for row in sorted(rows)))
    for name in "access", "legs":
        file("rules" if name == "access" else name,
             "".join(f"{src} {delay:.3f} {jitter}\n"
                     for src, (delay, jitter) in getattr(p, name).items()))
    dante = [src for src, how, _ in p.exits if how == "socks"]
    file("tinyproxy.conf", TINYPROXY_CONF % {"port": TINYPROXY})
    file("danted.conf", DANTED_CONF % {"port": DANTE, "external":
                                       "\n".join(f"external: {src}" for src in dante)})
    haproxy = HAPROXY_CFG
    for i, e in enumerate(p.relays):
        edge = EDGE[6 if ":" in e else 4]
        haproxy += f"listen relay{i}\n    bind {bracket(e)}:{RELAY}\n"
        haproxy += f"    server edge {bracket(edge)}:443 source {bracket(e)}\n"
    file("haproxy.cfg", haproxy)
    file("truth.tsv", "".join("%s\t%s\t%s\n" % t for t in p.truth), 0o600)
    file("story.json", json.dumps(p.story, indent=1) + "\n")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--out", required=True)
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--family", choices=["both", "4", "6"], default="both")
    a.add_argument("--seconds", type=int, default=120)
    a.add_argument("--baseline", type=int, default=45, help="seconds before the farm begins")
    a.add_argument("--scale", type=float, default=1.0)
    a.add_argument("--waves", type=int, choices=[1, 2], default=1)
    a.add_argument("--farm-stack", choices=BULK)
    a.add_argument("--relay-stack", choices=sorted(RELAY_STACKS), help="harder: the farm's")
    a = a.parse_args()
    os.makedirs(a.out, mode=0o700, exist_ok=True)
    p = build(a)
    write(p, a.out)
    print(json.dumps(p.story))


main()
