#!/bin/sh
# Stands before setpriv where tests start a server as an ordinary user, and gives it what systemd gives a unit with Delegate=yes.
set -eu
case "$1" in
--reuid=64321)
  unit=/sys/fs/cgroup/system.slice/anvoke-$$.service
  mkdir "$unit"
  chown 64321 "$unit" "$unit/cgroup.procs" "$unit/cgroup.subtree_control" "$unit/cgroup.threads"
  echo 0 >"$unit/cgroup.procs"
  ;;
esac
exec /usr/bin/setpriv "$@"
