#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# On Debian's 6.1 kernel under a real systemd, in a qemu guest with a small Debian on its
# disk: the package installs, README's three commands make a shadow-mode service of it, it
# runs as its own user with exactly its capabilities, is watched, writes to the journal, and
# survives restart, kill, hang, upgrade and reboot with no gap; built with ASan and UBSan
# it says nothing (fault 100); purge leaves nothing (fault 96).
#
# The guest says what it claims itself, build/log/service.out; its kernel service.console.
# By hand: AGAIN=1 with the packages that are there; PARTS=ends for installation and purge
# alone, PARTS=sanitized with the sanitized daemon between them.
#
# timeout: 4500
set -u
cd "$(dirname "$0")/../.." || exit
SAYS=build/log/service
MB=1536
GUEST_SECONDS=4000
KERNEL_ARGS="systemd.show_status=0"
. tests/full/guest/lib.sh
guest_needs
[ -e $GUEST/root.img ] || skip "the guest's disk (scripts/deps --full)"

next=$(sed -n 's/^#define WINNOW_VERSION "\(.*\)"$/\1/p' userspace/base/version.h)+next1
packages() {
	rm -rf build/service
	mkdir -p build/service
	scripts/package/build --quick && mv build/package build/service/1 &&
		scripts/package/build --quick --version "$next" && mv build/package build/service/2
}
[ -n "${AGAIN:-}" ] || packages >"$LOG/package.log" 2>&1 ||
	{ echo "not ok 1 - the package builds, lintian has nothing to say"; tail -n 20 $LOG/package.log; exit 1; }
make -s build/tests/e2e/plant_farm || exit
make -s -j2 SAN=1 build/san/winnowd || exit
cp "$(PATH=$PATH:/usr/sbin command -v bpftool)" build/service/bpftool
bash -c '. tests/e2e/lib.sh; clients_built'

# In README: the line that installs the package, and the three after "Then three commands".
on_a_host() { sed -n '/^## On a host/,/^## /p' README.md; }
commands() { sed -n '/^    /{s/^    //;s/ \{2,\}# .*//;p}'; }

root tests/full/guest/init-disk virtio_pci virtio_blk ext4 crc32c_generic 9pnet_virtio 9p
mkdir "$TMP/root/story"
printf 'NEXT=%s\nPARTS=%s\n' "$next" "${PARTS:-all}" >"$TMP/root/story/env"
on_a_host | commands | grep '^sudo apt install' >"$TMP/root/story/install"
on_a_host | sed '1,/three commands/d' | sed -n '/^    /,/^$/p' | sed '/^$/,$d' | commands >"$TMP/root/story/commands"
initramfs
cp --sparse=always $GUEST/root.img "$TMP/disk"
ACCEL=${ACCEL:-$(accelerator)}
start=$SECONDS
for _ in first second; do
	! grep -qxE '!.*|\.' <(tr -d '\r' <$SAYS.out) || break
	boot "$ACCEL" -drive "file=$TMP/disk,format=raw,if=virtio,cache=unsafe"
done
tr -d '\r' <$SAYS.out | grep -aE '^(ok|not ok|#|!)'
echo "# $ACCEL, $((SECONDS - start)) s"
last=$(sed -n 's/^\(not \)\?ok \([0-9]*\) .*/\2/p' $SAYS.out | tail -n 1)
status=0
claim() {
	local text=$1
	last=$((last + 1))
	shift
	if "$@"; then echo "ok $last - $text"; else echo "not ok $last - $text"; status=1; fi
}
claim "the guest came to the end of its story" grep -qxF . <(tr -d '\r' <$SAYS.out)
claim "its kernel has nothing to complain about" content
! grep -q '^not ok\|^!' $SAYS.out || status=1
exit $status
