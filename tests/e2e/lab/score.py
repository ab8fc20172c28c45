# SPDX-License-Identifier: BSD-2-Clause
"""score.py - what happened in a lab run, and winnow's answer against the truth.

    score.py LAB [FARMS.json [APPLIED_S [ROLE]]]

LAB is the directory of plan.py after a run, FARMS.json winnow's `farm list -j` or
`replay --farms -j`, APPLIED_S the second of the run in which the plan was applied.
With ROLE ("farm") only that role's exits are looked for, not their replacements.
One JSON object:
    visits      per role: requests that succeeded and failed, connections that did not;
                with APPLIED_S split into before and after
    why         the commonest reasons of failure, per role
    recall      share of the farm's exits among the members
    precision   share of members with the farm's stack that are the farm's, inside the
                farm's own stack
    fresh       of the replacing exits: connections that got through before the first that
                did not (how many exits, by that number; "never": none was refused), and
                how many got through after it
    same        members that are honest users of the farm's stack (they cost precision)
    lookalikes  members that are somebody else's, by role
A member is a (source, stack) pair; a source as winnow writes it (IPv4, or an IPv6 /64).
"""
import collections
import ipaddress
import json
import os
import sys

SETTLE = 1.0    # s: visits begun while the plan was being applied count for neither side


def source(text):
    address = ipaddress.ip_address(text.split("/")[0])
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network(f"{address}/64", strict=False))


def results(lab):
    folder = os.path.join(lab, "results")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name)) as f:
            for line in f:
                yield name, json.loads(line)


def visits(lab, applied):
    """{role: {phase: counts}} and the reasons."""
    table = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))
    why = collections.defaultdict(collections.Counter)
    for name, r in results(lab):
        at = r["at"] / 1000
        if applied is None or ".wave" in name:
            phase = "all"
        elif abs(at - applied) < SETTLE:
            continue
        else:
            phase = "before" if at < applied else "after"
        c = table[r["tag"]][phase]
        c["visits"] += 1
        c["ok"] += r["ok"]
        c["failed"] += r["failed"]
        c["refused"] += r["ok"] == 0
        if r["failed"]:
            why[r["tag"]][f"{r['stack']}: {r.get('why')}"] += 1
    return table, {role: dict(c.most_common(3)) for role, c in why.items()}


def fresh(lab):
    through, later = collections.Counter(), 0
    exits = collections.defaultdict(list)
    for _, r in results(lab):
        if r["tag"] == "farm-replaced":
            exits[r["via"]].append((r["at"], r["ok"] > 0))
    for seen in exits.values():
        passed = [ok for _, ok in sorted(seen)]
        first = passed.index(False) if False in passed else None
        through["never" if first is None else str(first)] += 1
        later += sum(passed[first:]) if first is not None else 0
    return {"exits": len(exits), "through_before_rule": dict(sorted(through.items())),
            "within_two": sum(through[str(n)] for n in range(3)), "through_later": later}


def judge(lab, farms, only):
    with open(os.path.join(lab, "truth.tsv")) as f:
        truth = [line.rstrip("\n").split("\t") for line in f]
    with open(os.path.join(lab, "story.json")) as f:
        stack = json.load(f)["farm_stack"]
    farm = {source(src) for src, _, role in truth if role.startswith("farm")}
    met = {source(r["via"].split(":", 1)[1].rsplit(":", 1)[0].strip("[]"))
           for _, r in results(lab) if r["tag"].startswith("farm") and only in (None, r["tag"])}
    role = {}
    for src, its, what in truth:
        if its == stack or source(src) not in role:
            role[source(src)] = what
    members = {source(m["src"]) for f in farms for m in f["members"]}
    others = members - farm
    farm &= met
    return {"farms": len(farms), "exits": len(farm), "members": len(members),
            "found": len(members & farm),
            "recall": round(len(members & farm) / max(1, len(farm)), 4),
            "precision": round(len(members & farm) / max(1, len(members)), 4),
            "same": sum(role.get(m) == "honest-same" for m in others),
            "lookalikes": dict(collections.Counter(
                role.get(m, "unknown") for m in others if role.get(m) != "honest-same"))}


def main(lab, farms=None, applied=None, only=None):
    table, why = visits(lab, applied and float(applied))
    answer = {"visits": {role: {phase: dict(c) for phase, c in phases.items()}
                         for role, phases in sorted(table.items())}, "why": why}
    if any(role == "farm-replaced" for role in table):
        answer["fresh"] = fresh(lab)
    if farms:
        with open(farms) as f:
            flagged = [x for x in json.load(f)["farms"] if x["state"] not in ("watch", "decay")]
        answer.update(judge(lab, flagged, only))
    print(json.dumps(answer, indent=1))


main(*sys.argv[1:])
