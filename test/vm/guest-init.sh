#!/bin/busybox sh
# The first process of the virtual machine: makes a root out of what it was given, runs the command, turns the machine off.
PATH=/bin
set -e
busybox=/bin/busybox
$busybox --install -s /bin
mkdir -p /proc /root
mount -t proc proc /proc
for module in /modules/*.ko; do insmod "$module" || echo "without $module"; done

# bwrap changes the root, which the kernel refuses on the file system that it booted from.
mkdir /new
mount -t tmpfs -o size=90%,mode=755 root /new
mv /guest /checkout /new
cp $busybox /new/guest
cd /new
mkdir -p usr proc sys dev run tmp var/tmp root home mnt etc packages checkout/node_modules
for link in bin sbin lib lib64; do ln -s "usr/$link" "$link"; done
chmod 1777 tmp var/tmp
chmod 700 root
chown 1000:1000 home
printf 'root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/home:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' >etc/passwd
printf 'root:x:0:\nworker:x:1000:\nnogroup:x:65534:\n' >etc/group
echo 'root:*:19000:0:99999:7:::' >etc/shadow
chmod 640 etc/shadow
printf '127.0.0.1 localhost\n::1 localhost\n' >etc/hosts
echo 'nameserver 127.0.0.53' >etc/resolv.conf

share='trans=virtio,version=9p2000.L,cache=loose,msize=524288,ro'
mount -t 9p -o "$share" usr usr
mount -t 9p -o "$share" packages packages
# vitest writes into its packages.
mount -t tmpfs -o mode=755 changes run
mkdir run/upper run/work
mount -t overlay -o lowerdir=packages,upperdir=run/upper,workdir=run/work overlay checkout/node_modules
mkdir -p checkout/node_modules/.vite checkout/node_modules/.vite-temp
chown 1000:1000 checkout/node_modules/.vite checkout/node_modules/.vite-temp
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
chmod 666 dev/net/tun
mount -t cgroup2 -o nsdelegate cgroup2 sys/fs/cgroup
ifconfig lo 127.0.0.1 up
swap=$(sed -n 's/.* swap=\([0-9]*\).*/\1/p' /proc/cmdline)
if test "$swap" != 0; then
  echo "$((swap * 1024 * 1024))" >sys/block/zram0/disksize
  mkswap dev/zram0 >/dev/null
  swapon dev/zram0
fi
hostname virtual
umount /proc
exec switch_root /new /guest/busybox sh -c '
  /usr/bin/setsid --wait sh /guest/layout
  printf "\nended with %s\n" $?
  /guest/busybox poweroff -f'
