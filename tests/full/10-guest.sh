#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# On Debian's 6.1 kernel, in a qemu guest, the object of each compiler loads, the tests
# of the program and of kern/ and daemon/ pass, and a rule bites. Two processors of four
# that there could be are online. Fault 68.
#
# The guest is that kernel, this machine's /usr and this tree; nothing it writes stays.
# KVM where it works, else emulation, about 10 times slower. What it said:
# build/log/guest.out and guest.console. Arguments: only jobs with one of them in theirs;
# JOB=COMMAND runs that instead, in the tree.
#
# timeout: 3000
set -u
cd "$(dirname "$0")/../.." || exit
FULL=tests/full
SAYS=build/log/guest
MB=3072
GUEST_SECONDS=2700
. $FULL/guest/lib.sh
guest_needs

# ---- what the guest shall do -----------------------------------------------------

for clang in clang-14 clang-15 clang-16 clang-19; do
	make -s CLANG=$clang B=build/$clang build/$clang/winnow.bpf.o || exit 1
done

only=("$@")
wanted() {
	local name
	[ ${#only[@]} -gt 0 ] || return 0
	for name in "${only[@]}"; do [[ $1 != *"$name"* ]] || return 0; done
	return 1
}

# SECONDS NAME COMMAND
all_jobs() {
	local t
	[ -z "${JOB:-}" ] || { echo "600 job $JOB"; return; }
	for t in clang-14 clang-15 clang-16 clang-19; do
		echo 600 "object/$t" "scripts/test --object $t build/$t/winnow.bpf.o"
	done
	for t in build/tests/prog/test_* build/tests/unit/test_{kern,daemon,cli_replay}*; do
		case $t in *.[do]) continue ;; esac
		t=${t#build/tests/}
		echo 900 "${t/test_/}" "build/tests/$t"
	done
	echo 600 live "$FULL/guest/live.sh"
}
jobs() { all_jobs | while read -r s name command; do ! wanted "$name" || echo "$s $name $command"; done; }

# ---- the guest ----------------------------------------------------------------------

# Of /etc no more than programs look at, and nobody's secrets.
etc() {
	local root=$TMP/root f
	for f in alternatives java-*-openjdk ld.so.cache ld.so.conf ld.so.conf.d nsswitch.conf \
		passwd group protocols services ssl/openssl.cnf; do
		(cd /etc && find $f -depth 2>/dev/null | cpio --quiet -pdm "$root/etc")
	done
	echo '127.0.0.1 localhost' >"$root/etc/hosts"	# tests mount theirs over it
	jobs >"$root/etc/jobs"
}

# ---- what it did ------------------------------------------------------------------------

claims=0 failed=0
claim() {	# TEXT CMD...; the command says why not
	local text=$1 why
	shift
	claims=$((claims + 1))
	if why=$("$@"); then
		echo "ok $claims - $text"
	else
		failed=1
		echo "not ok $claims - $text"
		tail -n 30 <<<"$why" | sed 's/^/#   /'
	fi
}

# What job $1 said, and how it ended: "STATUS SECONDS", or nothing if it did not.
output() { sed -n "\\|^@ $1\$|,\\|^= $1 |p" "$TMP/out"; }
ending() { sed -n "s|^= $1 ||p" "$TMP/out"; }

tests_of() { output "$1" | grep -cE '^\[       OK \]|^ok '; }

# A guest has all that a test needs: to skip everything is to fail.
passed() {
	local status
	read -r status _ <<<"$(ending "$1")"
	[ "$status" = 0 ] && [ "$(tests_of "$1")" -gt 0 ] && ! output "$1" | grep -q '^not ok ' && return
	echo "exit ${status:-: it did not end}"
	output "$1" | grep -E '^not ok |^\[  FAILED  \]|^skip|[Ee]rror:' | head -n 10
	output "$1" | tail -n 15
	return 1
}

ran() { grep -qxF . "$TMP/out" && ! grep '^! ' "$TMP/out" && return; grep '^! ' "$TMP/out"; tail -n 15 "$SAYS.console"; return 1; }

root $FULL/guest/init virtio_pci 9pnet_virtio 9p overlay
etc
initramfs
ACCEL=${ACCEL:-$(accelerator)}
start=$SECONDS
boot "$ACCEL" -smp 2,maxcpus=4 -virtfs local,path=/usr,mount_tag=usr,security_model=none,readonly=on,multidevs=remap
tr -d '\r' <$SAYS.out >"$TMP/out"
echo "# $ACCEL, $((SECONDS - start)) s"
grep '^# ' "$TMP/out" | sed "s/^# verifier: /&$RELEASE: /"
while read -r _ name _; do
	read -r _ took <<<"$(ending "$name")"
	claim "$RELEASE: $name ($(tests_of "$name") of it, ${took:-?} s)" passed "$name"
done < <(jobs)
claim "$RELEASE has nothing to complain about" content
claim "the guest ran every job and powered itself off" ran
exit $failed
