#!/bin/sh
# Runs a command on this checkout in a virtual machine of either architecture; see README.md.
# run.sh ARCHITECTURE LAYOUT COMMAND…
set -eu
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
architecture=$1 layout=$2
shift 2
suite=${SUITE:-trixie}
place=${VM_DIR:-$checkout/node_modules/.cache/vm}
debian=$place/$architecture-$suite
root=$debian/root

test -d "$root" || "$here/debian.sh" "$architecture" "$suite" "$debian"
version=$(basename "$root"/boot/vmlinuz-* | sed s/vmlinuz-//)

case $architecture in
amd64)
  packages=$checkout/node_modules
  machine='qemu-system-x86_64 -machine q35 -cpu max'
  console=ttyS0
  ;;
arm64)
  # The same packages as the lock file names for the other processor.
  packages=$place/arm64-packages/node_modules
  if ! test -d "$packages"; then
    mkdir -p "$place/arm64-packages"
    cp "$checkout/package.json" "$checkout/package-lock.json" "$place/arm64-packages"
    (cd "$place/arm64-packages" && npm ci --os=linux --cpu=arm64 --ignore-scripts --no-audit --no-fund)
  fi
  machine='qemu-system-aarch64 -machine virt -cpu max,pauth-impdef=on'
  console=ttyAMA0
  ;;
*)
  echo "no architecture '$architecture'" >&2
  exit 2
  ;;
esac

work=$(mktemp -d "${TMPDIR:-/tmp}/anvoke-vm-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/bin" "$work/root/modules" "$work/root/checkout" "$work/root/guest"

order=10
for module in virtio_pci 9pnet_virtio 9p overlay tun xfrm_user zram; do
  modprobe -d "$root" -S "$version" --show-depends "$module" | sed -n 's/^insmod //p' >"$work/needed"
  while read -r file; do
    name=$(basename "${file%.xz}")
    test -n "$(find "$work/root/modules" -name "*-$name")" && continue
    # The kernel does not unpack them by itself.
    case $file in
    *.xz) xz -dc "$file" >"$work/root/modules/$order-$name" ;;
    *) cp "$file" "$work/root/modules/$order-$name" ;;
    esac
    order=$((order + 1))
  done <"$work/needed"
done

cp "$root/usr/bin/busybox" "$work/root/bin/busybox"
cp "$here/guest-init.sh" "$work/root/init"
cp "$here/guest-layout.sh" "$work/root/guest/layout"
cp "$here/guest-unit.sh" "$work/root/guest/setpriv"
# A copy, so that the files may be worked on meanwhile.
cd "$checkout"
if test -n "${REVISION:-}"; then
  git archive "$REVISION"
else
  git ls-files -z -co --exclude-standard | xargs -0 -r ls -d -- 2>/dev/null | tar -c -T -
fi | tar -x -C "$work/root/checkout"
{
  printf 'exec'
  for word; do printf " '%s'" "$(printf %s "$word" | sed "s/'/'\\\\''/g")"; done
  echo
} >"$work/root/guest/command"
chmod +x "$work/root/init" "$work/root/guest/setpriv"
chmod -R go+rX "$work/root"
(cd "$work/root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$work/initramfs"

# icount: the clock inside counts instructions, one a nanosecond, so that what is slow outside takes no longer inside. Waiting takes
# as long as outside: with sleep=off the clock leaps to the next timer while a file is read.
# Nothing can leave the machine: there is no network device.
# shellcheck disable=SC2086
$machine -accel tcg -smp 1 -m "${MEMORY:-4G}" -icount shift=0 \
  -nodefaults -no-user-config -no-reboot -display none -nic none -serial stdio \
  -kernel "$root/boot/vmlinuz-$version" -initrd "$work/initramfs" \
  -append "console=$console quiet panic=-1 cgroup_no_v1=all mitigations=off layout=$layout swap=${SWAP:-0}" \
  -fsdev local,id=usr,path="$root/usr",security_model=none,readonly=on,multidevs=remap \
  -device virtio-9p-pci,fsdev=usr,mount_tag=usr \
  -fsdev local,id=packages,path="$packages",security_model=none,readonly=on,multidevs=remap \
  -device virtio-9p-pci,fsdev=packages,mount_tag=packages </dev/null | tee "$work/said"
grep -q '^ended with 0' "$work/said"
