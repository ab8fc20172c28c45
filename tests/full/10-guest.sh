#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# On Debian's 6.1 kernel, in a qemu guest, the object of each compiler loads, the tests
# of the program and of kern/ and daemon/ pass, and a rule bites. Fault 20.
#
# The guest is that kernel, this machine's /usr and this tree; nothing it writes stays.
# KVM where it works, else emulation, about 10 times slower. What it said:
# build/log/guest.out and guest.console. Arguments: only jobs with one of them in theirs;
# JOB=COMMAND runs that instead, in the tree.
#
# timeout: 3000
set -u
cd "$(dirname "$0")/../.." || exit
FULL=tests/full/guest
GUEST=build/guest
LOG=build/log
MB=3072
GUEST_SECONDS=2700

skip() { echo "skip - $*"; exit 77; }
[ -e $GUEST/package ] || skip "Debian's 6.1 kernel (scripts/deps --full)"
RELEASE=$(sed 's/^linux-image-//' $GUEST/package)
case $RELEASE in 6.1.*) ;; *) skip "Debian's 6.1 kernel; the archive's is $RELEASE" ;; esac
for program in qemu-system-x86_64 busybox cpio depmod; do
	command -v $program >/dev/null || skip "$program (scripts/deps --full)"
done

mkdir -p $LOG
TMP=$(mktemp -d)
qemu_pid=
cleanup() { [ -z "$qemu_pid" ] || kill -KILL "$qemu_pid" 2>/dev/null; rm -rf "$TMP"; }
trap cleanup EXIT
trap 'exit 130' INT TERM

# ---- what the guest shall do -----------------------------------------------------

for clang in clang-14 clang-16 clang-19; do
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
	for t in clang-14 clang-16 clang-19; do
		echo 600 "object/$t" "scripts/test --object $t build/$t/winnow.bpf.o"
	done
	for t in build/tests/prog/test_* build/tests/unit/test_{kern,daemon,cli_replay}*; do
		case $t in *.[do]) continue ;; esac
		t=${t#build/tests/}
		echo 900 "${t/test_/}" "build/tests/$t"
	done
	echo 600 live "$FULL/live.sh"
}
jobs() { all_jobs | while read -r s name command; do ! wanted "$name" || echo "$s $name $command"; done; }

# ---- the guest ----------------------------------------------------------------------

# module NAME: its file and those it needs, those first.
module() {
	local at=$GUEST/kernel/lib/modules/$RELEASE file needs
	file=$(grep -oE "^[^:]*/${1//[-_]/[-_]}\.ko[^:]*" "$at/modules.dep") || return 0	# built in
	needs=$(sed -n "s|^$file: *||p" "$at/modules.dep" | tr ' ' '\n' | tac)
	for file in $needs $file; do
		[ ! -e "$TMP/root/modules/${file##*/}" ] || continue
		cp "$at/$file" "$TMP/root/modules/"
		echo "${file##*/}" >>"$TMP/root/modules/order"
	done
}

initramfs() {
	local root=$TMP/root m f
	mkdir -p "$root"/{bin,dev,proc,etc,root,modules}
	cp "$(command -v busybox)" "$root/bin/"
	cp $FULL/init "$root/init"
	for m in virtio_pci 9pnet_virtio 9p overlay; do module $m; done
	# Of /etc no more than programs look at, and nobody's secrets.
	for f in alternatives java-*-openjdk ld.so.cache ld.so.conf ld.so.conf.d nsswitch.conf \
		passwd group protocols services ssl/openssl.cnf; do
		(cd /etc && find $f -depth 2>/dev/null | cpio --quiet -pdm "$root/etc")
	done
	echo '127.0.0.1 localhost' >"$root/etc/hosts"	# tests mount theirs over it
	jobs >"$root/etc/jobs"
	(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$TMP/initramfs"
}

qemu() {
	qemu-system-x86_64 -display none -no-reboot -nodefaults \
		-kernel "$GUEST/kernel/boot/vmlinuz-$RELEASE" "$@"
}

# A device node is no promise: the bare kernel must come as far as its panic.
accelerator() {
	[ -w /dev/kvm ] && timeout 15 qemu -accel kvm -cpu max -m 512 \
		-append 'panic=-1' >/dev/null 2>&1 && echo kvm || echo tcg,thread=multi
}

share() { qemu_args+=(-virtfs "local,path=$2,mount_tag=$1,security_model=none,readonly=on,multidevs=remap"); }

boot() {
	local qemu_args=(-accel "$1" -cpu max -smp 2 -m "$MB" -initrd "$TMP/initramfs"
		-append "console=ttyS0 loglevel=4 panic=-1"
		-serial "file:$LOG/guest.console" -serial "file:$LOG/guest.out")
	share usr /usr
	share tree "$PWD"
	qemu "${qemu_args[@]}" &
	qemu_pid=$!
	# In the background: a trap must not wait for the guest's end.
	timeout $GUEST_SECONDS tail --pid=$qemu_pid -s 0.2 -f /dev/null &
	wait $! ||
		echo "! still running after $GUEST_SECONDS s" >>$LOG/guest.out
	kill -KILL $qemu_pid 2>/dev/null
	wait $qemu_pid 2>/dev/null
	qemu_pid=
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

ran() { grep -qxF . "$TMP/out" && ! grep '^! ' "$TMP/out" && return; grep '^! ' "$TMP/out"; tail -n 15 $LOG/guest.console; return 1; }
content() { ! grep -aE -A 8 'WARNING:|BUG:|Oops|Call Trace|panic|hung task|stall' $LOG/guest.console; }

initramfs
ACCEL=${ACCEL:-$(accelerator)}
start=$SECONDS
: >"$LOG/guest.out"
: >"$LOG/guest.console"
boot "$ACCEL"
tr -d '\r' <$LOG/guest.out >"$TMP/out"
echo "# $ACCEL, $((SECONDS - start)) s"
grep '^# ' "$TMP/out" | sed "s/^# verifier: /&$RELEASE: /"
while read -r _ name _; do
	read -r _ took <<<"$(ending "$name")"
	claim "$RELEASE: $name ($(tests_of "$name") of it, ${took:-?} s)" passed "$name"
done < <(jobs)
claim "$RELEASE has nothing to complain about" content
claim "the guest ran every job and powered itself off" ran
exit $failed
