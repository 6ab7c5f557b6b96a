#!/bin/sh
# Unpacks a kernel and the programs that tests need from Debian's packages, without installing anything:
# debian.sh ARCHITECTURE SUITE DIRECTORY. apt checks the signatures; the keys are those of the package debian-archive-keyring.
set -eu
architecture=$1 suite=$2 directory=$3
mirror=${DEBIAN_MIRROR:?set it to the address of a Debian mirror, as in the sources of apt}
programs='dash bash coreutils grep sed findutils hostname libc-bin util-linux mount procps iproute2 busybox-static bubblewrap slirp4netns
python3 libstdc++6 libatomic1'

rm -rf "$directory"
mkdir -p "$directory"
cd "$directory"
directory=$(pwd)
mkdir -p apt/lists/partial apt/cache/archives/partial
: >apt/status
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >apt/sources.list

# A state of its own, so that the machine's list of architectures and packages stays as it is.
in_private() {
  program=$1
  shift
  "$program" -q -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o Dir::State="$directory/apt" \
    -o Dir::State::status="$directory/apt/status" -o Dir::Cache="$directory/apt/cache" -o Dir::Etc::sourceparts=- \
    -o Dir::Etc::sourcelist="$directory/apt/sources.list" -o APT::Sandbox::User=root "$@"
}

in_private apt-get update >apt/log
kernel=$(in_private apt-cache depends "linux-image-$architecture" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
# shellcheck disable=SC2086
in_private apt-get install -y --download-only --no-install-recommends $programs >>apt/log
(cd apt/cache/archives && in_private apt-get download "$kernel" >>"$directory/apt/log")

mkdir -p root/usr/bin root/usr/sbin root/usr/lib root/usr/lib64
for name in bin sbin lib lib64; do ln -s "usr/$name" "root/$name"; done
for package in apt/cache/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C root
done
# What the package dash makes by its installation.
test -e root/usr/bin/sh || ln -s dash root/usr/bin/sh
rm -rf apt root/usr/share/doc root/usr/share/man root/usr/share/locale
# The package leaves the index of the modules to its installation.
depmod -b "$directory/root" "$(basename root/boot/vmlinuz-* | sed s/vmlinuz-//)"
