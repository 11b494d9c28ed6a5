#!/bin/sh
# Prints the tag of the processing step's image: 16 hexadecimal digits of the
# digest of all that the image is made of, so that the same sources have the
# same tag, known before the image is built, and a tag never changes meaning.
set -eu

cd "$(dirname "$0")/.."
find Cargo.lock Cargo.toml docker/Dockerfile docker/feature-engineering shared -type f -print0 |
    LC_ALL=C sort -z |
    xargs -0 sha256sum |
    sha256sum |
    cut -c 1-16
