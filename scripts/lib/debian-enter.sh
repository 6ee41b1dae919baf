#!/usr/bin/env bash
# The first process in a tree of another Debian (debian.sh): mounts what the tree needs,
# and runs a command in it.
set -euo pipefail
tree=$1 cache=$2 goroot=$3 modules=$4
shift 4
trap 'exit 125' EXIT # until the command takes the place of this script

mount --bind "$tree" "$tree"
cd "$tree"
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/lock
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount --bind "$cache/go-build" root/.cache/go-build
mount --bind "$cache/go-mod" root/go/pkg/mod
mount --bind "$cache/tools" root/.cache/cardctl/tools
[[ ! -d $modules ]] || mount --bind -o ro "$modules" mnt/modules
[[ ! -d $goroot/src || -L $goroot/src ]] || mount --bind -o ro "$goroot" usr/local/go # Debian's own has links

exec chroot . sh -c 'cd /root/cardctl && exec "$@"' sh "$@"
