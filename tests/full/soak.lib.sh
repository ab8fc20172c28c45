# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# soak.lib.sh - is a process as large and as busy with files after an hour as before?
#
#	soak_watch PID SECONDS FILE	a line every few seconds: time, RssAnon kB, VmRSS kB, fds, threads
#	soak_flat FILE			says the slopes; fails if memory or descriptors grow
#
# Anonymous memory is what a leak is made of; the tables are file and shared pages that
# are touched once. The first quarter is left out: tables and windows fill.

soak_sample() {
	local fds
	fds=$(ls "/proc/$1/fd" 2>/dev/null | wc -l)
	awk -v t="$SECONDS" -v fds="$fds" '/^RssAnon/ { a = $2 } /^VmRSS/ { r = $2 } /^Threads/ { n = $2 }
		END { if (r) print t, a, r, fds, n; else exit 1 }' "/proc/$1/status" 2>/dev/null
}

soak_watch() {
	local end=$((SECONDS + $2))
	while [ $SECONDS -lt $end ]; do
		soak_sample "$1" || return
		sleep 5
	done >"$3"
}

# Theil and Sen's slope, the median over pairs, does not heed a spike that comes and goes.
soak_flat() {
	python3 - "$1" <<-'EOP'
		import statistics, sys
		rows = [tuple(map(int, line.split())) for line in open(sys.argv[1])]
		rows = [r for r in rows if r[0] - rows[0][0] >= (rows[-1][0] - rows[0][0]) / 4]
		thin = rows[::max(1, len(rows) // 200)]
		seconds = rows[-1][0] - rows[0][0]
		def slope(column):
		    return statistics.median((b[column] - a[column]) / (b[0] - a[0])
		                             for i, a in enumerate(thin) for b in thin[i + 1:] if b[0] > a[0])
		anon, rss, fds = (slope(c) * 3600 for c in (1, 2, 3))
		size = statistics.median(r[1] for r in rows)
		edge = max(3, len(rows) // 10)
		first, last = (statistics.median(r[3] for r in part) for part in (rows[:edge], rows[-edge:]))
		print(f"# {seconds} s, {len(rows)} samples: anonymous {size:.0f} kB, {anon:+.0f} kB an hour; "
		      f"resident {rss:+.0f} kB an hour; descriptors {first:.0f}, later {last:.0f}")
		# 1% of itself over what was watched, or 64 kB: an allocator's step
		sys.exit(not (len(rows) > 20 and anon * seconds / 3600 <= max(size / 100, 64) and last <= first and fds < 1))
	EOP
}
