#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A machine that sleeps (ACPI S3) under Debian's 6.1 kernel, in a
# qemu guest: rules end by the time that has passed, not by the time it was awake. The
# guest says what it claims itself. Fault 72.
#
# timeout: 1500
set -u
cd "$(dirname "$0")/../.." || exit
SAYS=build/log/suspend
MB=1024
GUEST_SECONDS=1200
KERNEL_ARGS="no_console_suspend"
. tests/full/guest/lib.sh
guest_needs
[ -e $GUEST/root.img ] || skip "the guest's disk (scripts/deps --full)"
bash -c '. tests/e2e/lib.sh; clients_built'

root tests/full/guest/init-suspend virtio_pci virtio_blk ext4 crc32c_generic veth sch_ingress cls_bpf
initramfs
cp --sparse=always $GUEST/root.img "$TMP/disk"
tar -cf "$TMP/tree" tests/e2e tests/full/guest build/winnow build/winnowd build/tests/e2e/steer.so
start=$SECONDS
boot "${ACCEL:=$(accelerator)}" -global PIIX4_PM.disable_s3=0 \
	-drive "file=$TMP/disk,format=raw,if=virtio,cache=unsafe" \
	-drive "file=$TMP/tree,format=raw,if=virtio,readonly=on"
tr -d '\r' <$SAYS.out | grep -aE '^(ok|not ok|#|!)'
echo "# $ACCEL, $((SECONDS - start)) s"
last=$(grep -cE '^(not )?ok ' $SAYS.out)
status=0
claim() {
	local text=$1
	last=$((last + 1))
	shift
	if "$@"; then echo "ok $last - $text"; else echo "not ok $last - $text"; status=1; fi
}
claim "the guest came to the end of its story" grep -qxE '= suspend 0 .*' <(tr -d '\r' <$SAYS.out)
claim "its kernel has nothing to complain about" content
! grep -q '^not ok\|^!' $SAYS.out || status=1
exit $status
