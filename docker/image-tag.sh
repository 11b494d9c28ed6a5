#!/bin/sh
# Prints the tag of a program's image: 16 hexadecimal digits of the digest of all
# that the image is made of, so that the same sources have the same tag, known
# before the image is built, and a tag never changes meaning.
#
#   docker/image-tag.sh [PACKAGE]
#
#   PACKAGE  feature-engineering (the default) or forecasting-deepar
set -eu

cd "$(dirname "$0")/.."
package="${1:-feature-engineering}"
[ -f "docker/$package/Cargo.toml" ] || {
    echo "image-tag.sh: there is no program docker/$package" >&2
    exit 2
}
find Cargo.lock Cargo.toml docker/Dockerfile "docker/$package" docker/job shared \
    -type f ! -name README.md -print0 |
    LC_ALL=C sort -z |
    xargs -0 sha256sum |
    sha256sum |
    cut -c 1-16
