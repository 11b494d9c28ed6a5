#!/bin/sh
# Makes a base image out of Debian packages, where no registry can be reached:
# a busybox shell, glibc, libgcc and certificates.
#
#   docker/debian-base.sh NAME[:TAG]
#
#   BUILDAH  buildah with its options, by default `buildah`
#
# Needs a Debian machine with buildah; the packages come from its apt sources.
set -eu

[ $# -eq 1 ] || {
    echo 'usage: docker/debian-base.sh NAME[:TAG]' >&2
    exit 2
}
buildah="${BUILDAH:-buildah}"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# apt downloads as a user of its own.
chmod 755 "$work"
mkdir "$work/packages" "$work/root"
chmod 777 "$work/packages"
(cd "$work/packages" && apt-get -qq download busybox-static ca-certificates libc6 libgcc-s1)

root="$work/root"
mkdir -p "$root/etc/ssl/certs" "$root/tmp" "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/usr/sbin"
chmod 1777 "$root/tmp"
for folder in bin lib lib64 sbin; do
    ln -s "usr/$folder" "$root/$folder"
done
for package in "$work"/packages/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"
done
"$root/bin/busybox" --list | while read -r applet; do
    [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
done
# What the package's script does with them on installation.
cat "$root"/usr/share/ca-certificates/mozilla/*.crt > "$root/etc/ssl/certs/ca-certificates.crt"
rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/locale" \
    "$root/usr/share/lintian" "$root/usr/lib/x86_64-linux-gnu/gconv"
echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
echo 'root:x:0:' > "$root/etc/group"

# BUILDAH may be a command with options, which have to become words.
# shellcheck disable=SC2086
{
    container="$($buildah from scratch)"
    $buildah copy --quiet "$container" "$root" / > /dev/null
    $buildah config --env PATH=/usr/bin:/bin --cmd /bin/sh "$container"
    $buildah commit --quiet --format docker --rm "$container" "$1" > /dev/null
}
