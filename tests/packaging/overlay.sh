#!/bin/sh
# overlay.sh SCRIPT DIR: runs SCRIPT in a private copy of this machine's root, with DIR's files in its /packages. No
# service manager runs in there, as in a chroot that an image is built in. Nothing of it stays.
set -eu
if [ "$1" != --inside ]; then
    room=$(mktemp -d /var/tmp/gcal-salesloft-root.XXXXXX)
    trap 'rm -rf "$room"' EXIT
    mkdir "$room/up" "$room/work" "$room/root"
    unshare --mount --pid --fork --net "$0" --inside "$room" "$1" "$2"
    exit
fi
room=$2 script=$3 packages=$4
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$room/up,workdir=$room/work" "$room/root"
mount -t proc proc "$room/root/proc"
mount --rbind /dev "$room/root/dev"
mount -t tmpfs tmpfs "$room/root/run"
mount -t tmpfs tmpfs "$room/root/tmp"
mkdir "$room/root/packages"
cp "$packages"/*.deb "$room/root/packages/"
cp "$script" "$room/root/script.sh"
exec chroot "$room/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C sh /script.sh
