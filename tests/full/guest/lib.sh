# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# lib.sh - Debian's 6.1 kernel in a qemu guest: what 10-guest.sh and 41-service.sh share.
# A caller is in the tree and says GUEST_SECONDS, MB and SAYS: what the guest writes to its
# second serial port comes to $SAYS.out, what its kernel says to $SAYS.console.

GUEST=build/guest
LOG=build/log

skip() { echo "skip - $*"; exit 77; }

guest_needs() {
	local program
	[ -e $GUEST/package ] || skip "Debian's 6.1 kernel (scripts/deps --full)"
	RELEASE=$(sed 's/^linux-image-//' $GUEST/package)
	case $RELEASE in 6.1.*) ;; *) skip "Debian's 6.1 kernel; the archive's is $RELEASE" ;; esac
	for program in qemu-system-x86_64 busybox cpio depmod; do
		command -v $program >/dev/null || skip "$program (scripts/deps --full)"
	done
	mkdir -p $LOG
	: >"$SAYS.out"
	: >"$SAYS.console"
	TMP=$(mktemp -d)
	qemu_pid=
	trap guest_cleanup EXIT
	trap 'exit 130' INT TERM
}
guest_cleanup() { [ -z "$qemu_pid" ] || kill -KILL "$qemu_pid" 2>/dev/null; rm -rf "$TMP"; }

# module NAME: its file and those it needs into the initramfs, those first.
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

# A root for the kernel's first process, made of $1 and modules.
root() {
	local init=$1 m
	shift
	mkdir -p "$TMP/root"/{bin,dev,proc,etc,root,modules}
	cp "$(command -v busybox)" "$TMP/root/bin/"
	cp "$init" "$TMP/root/init"
	for m; do module "$m"; done
}

initramfs() { (cd "$TMP/root" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$TMP/initramfs"; }

qemu() {
	qemu-system-x86_64 -display none -no-reboot -nodefaults \
		-kernel "$GUEST/kernel/boot/vmlinuz-$RELEASE" "$@"
}

# A device node is no promise: the bare kernel must come as far as its panic.
accelerator() {
	[ -w /dev/kvm ] && timeout 15 qemu -accel kvm -cpu max -m 512 \
		-append 'panic=-1' >/dev/null 2>&1 && echo kvm || echo tcg,thread=multi
}

# share TAG DIR: for boot's guest, read-only
share() { qemu_args+=(-virtfs "local,path=$2,mount_tag=$1,security_model=none,readonly=on,multidevs=remap"); }

# boot ACCELERATOR [QEMU_ARGUMENT...]: until it powers itself off, reboots or panics.
boot() {
	local qemu_args=(-accel "$1" -cpu max -smp 2 -m "$MB" -initrd "$TMP/initramfs"
		-append "console=ttyS0 loglevel=4 panic=-1 ${KERNEL_ARGS:-}"
		-chardev "file,id=console,path=$SAYS.console,append=on" -serial chardev:console
		-chardev "file,id=out,path=$SAYS.out,append=on" -serial chardev:out)
	shift
	share tree "$PWD"
	qemu "${qemu_args[@]}" "$@" &
	qemu_pid=$!
	# In the background: a trap must not wait for the guest's end.
	timeout "$GUEST_SECONDS" tail --pid=$qemu_pid -s 0.2 -f /dev/null &
	wait $! ||
		echo "! still running after $GUEST_SECONDS s" >>"$SAYS.out"
	kill -KILL $qemu_pid 2>/dev/null
	wait $qemu_pid 2>/dev/null
	qemu_pid=
}

# Nothing that a kernel says when something is wrong with it.
content() { ! grep -aE -A 8 'WARNING:|BUG:|Oops|Call Trace|panic|hung task|stall' "$SAYS.console"; }
