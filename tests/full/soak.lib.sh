# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# soak.lib.sh - is a process as large and as busy with files after an hour as before?
#
#	soak_watch PID SECONDS FILE CMD...	a line every few seconds: time, RssAnon kB, VmRSS kB,
#						fds, threads, and what CMD says: bytes it has allocated
#	soak_flat FILE				says the slopes; fails if memory or descriptors grow
#
# Anonymous memory is what a leak is made of; the tables are file and shared pages that
# are touched once. A leak fills holes of the heap before the heap grows: what is
# allocated tells of it sooner. The first quarter is left out: tables and windows fill.

soak_sample() {
	local pid=$1 fds bytes
	shift
	fds=$(ls "/proc/$pid/fd" 2>/dev/null | wc -l)
	bytes=$("$@") || return 0	# one scrape missed is no end
	awk -v t="$SECONDS" -v fds="$fds" -v bytes="$bytes" '/^RssAnon/ { a = $2 } /^VmRSS/ { r = $2 } /^Threads/ { n = $2 }
		END { if (r) print t, a, r, fds, n, bytes; else exit 1 }' "/proc/$pid/status" 2>/dev/null
}

soak_watch() {
	local pid=$1 end=$((SECONDS + $2)) file=$3
	shift 3
	while [ $SECONDS -lt $end ]; do
		soak_sample "$pid" "$@" || return
		sleep 5
	done >"$file"
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
		anon, rss, fds, heap = (slope(c) * 3600 for c in (1, 2, 3, 5))
		heap /= 1024
		size = statistics.median(r[1] for r in rows)
		edge = max(3, len(rows) // 10)
		first, last = (statistics.median(r[3] for r in part) for part in (rows[:edge], rows[-edge:]))
		print(f"# {seconds} s, {len(rows)} samples: anonymous {size:.0f} kB, {anon:+.0f} kB an hour; "
		      f"allocated {statistics.median(r[5] for r in rows) / 1024:.0f} kB, {heap:+.1f} kB an hour; "
		      f"resident {rss:+.0f} kB an hour; descriptors {first:.0f}, later {last:.0f}")
		# 1% of itself over what was watched, or 64 kB: an allocator's step. What is
		# allocated has no steps.
		more = seconds / 3600
		sys.exit(not (len(rows) > 20 and anon * more <= max(size / 100, 64) and heap * more <= 16
		              and last <= first and fds < 1))
	EOP
}
