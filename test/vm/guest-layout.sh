#!/bin/sh
# Takes the place in the tree of cgroups that the layout on the kernel's command line names, and runs the command there.
set -eu
layout=$(sed -n 's/.*layout=\([a-z-]*\).*/\1/p' /proc/cmdline)
export PATH=/checkout/node_modules/.bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CI=1 NO_COLOR=1
cd /checkout
root=/sys/fs/cgroup
unit=$root/system.slice/anvoke.service

# What systemd does for a unit with Delegate=yes; systemd.resource-control(5), cgroups(7).
make_unit() {
  mkdir -p "$unit"
  echo '+memory +pids +cpu' >$root/cgroup.subtree_control
  echo '+memory +pids +cpu' >$root/system.slice/cgroup.subtree_control
}
hand_to_worker() {
  for group; do
    mkdir -p "$group"
    chown 1000 "$group" "$group/cgroup.procs" "$group/cgroup.subtree_control" "$group/cgroup.threads"
  done
}
enter() {
  mkdir -p "$1"
  echo $$ >"$1/cgroup.procs"
}
run_as_worker() {
  export HOME=/home
  exec setpriv --reuid=1000 --regid=1000 --clear-groups -- sh /guest/command
}

uname -srm
echo "cgroups: $(grep cgroup /proc/self/mountinfo | sed 's/.* - //')"
case $layout in
root-group) exec sh /guest/command ;;
root-unit)
  make_unit
  enter "$unit"
  exec sh /guest/command
  ;;
root-subgroup)
  make_unit
  enter "$unit/main"
  exec sh /guest/command
  ;;
user-unit)
  make_unit
  hand_to_worker "$unit"
  enter "$unit"
  run_as_worker
  ;;
user-subgroup)
  make_unit
  hand_to_worker "$unit" "$unit/main"
  enter "$unit/main"
  run_as_worker
  ;;
user-alone)
  make_unit
  enter "$unit"
  run_as_worker
  ;;
units)
  make_unit
  PATH=/guest:$PATH exec sh /guest/command
  ;;
*)
  echo "no layout '$layout'"
  exit 2
  ;;
esac
