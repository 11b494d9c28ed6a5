#!/bin/sh
# Builds the image of one of the programs.
#
#   docker/build-image.sh [--package PACKAGE] [--programs DIR] [--base IMAGE] NAME[:TAG]
#
#   --package PACKAGE  feature-engineering (the default) or forecasting-deepar
#   --programs DIR     takes the compiled program from a folder, such as
#                      target/numeric, instead of compiling it in a container;
#                      its glibc must not be newer than the base's
#   --base IMAGE       the image to build on, instead of the Dockerfile's
#
#   ENGINE  docker, podman or buildah; by default the first of them that is
#           installed. May have options: ENGINE='buildah --storage-driver vfs'
#
# The image is for linux/amd64 with a Docker manifest (schema 2) and without an
# attestation beside it: SageMaker refuses others.
set -eu

usage() {
    sed -n '2,/^set -eu/ { /^#/ s/^#\( \|$\)//p }' "$0" >&2
    exit 2
}

package=feature-engineering programs='' base='' name=''
while [ $# -gt 0 ]; do
    case "$1" in
        --package) [ $# -gt 1 ] || usage; package="$2"; shift 2 ;;
        --programs) [ $# -gt 1 ] || usage; programs="$2"; shift 2 ;;
        --base) [ $# -gt 1 ] || usage; base="$2"; shift 2 ;;
        -*) usage ;;
        *) [ -z "$name" ] || usage; name="$1"; shift ;;
    esac
done
[ -n "$name" ] || usage
folder="$(cd "$(dirname "$0")" && pwd)"
[ -f "$folder/$package/Cargo.toml" ] || {
    echo "build-image.sh: there is no program docker/$package" >&2
    exit 2
}

if [ -z "${ENGINE:-}" ]; then
    for candidate in docker podman buildah; do
        if command -v "$candidate" > /dev/null; then
            ENGINE="$candidate"
            break
        fi
    done
fi
[ -n "${ENGINE:-}" ] || {
    echo 'build-image.sh: neither docker, podman nor buildah is installed' >&2
    exit 1
}

context="$(dirname "$folder")"
if [ -n "$programs" ]; then
    context="$(mktemp -d)"
    trap 'rm -rf "$context"' EXIT
    trap 'exit 1' HUP INT TERM
    mkdir "$context/app"
    cp "$programs/$package" "$context/app/$package"
    chmod 755 "$context/app/$package"
fi

set -- --platform linux/amd64 --file "$folder/Dockerfile" --tag "$name" \
    --target "$package" --build-arg "PACKAGE=$package"
[ -z "$programs" ] || set -- "$@" --build-arg PROGRAM=prebuilt
[ -z "$base" ] || set -- "$@" --build-arg "BASE_IMAGE=$base"
case "$ENGINE" in
    docker*) set -- "$@" --provenance=false ;;
    *) set -- "$@" --format docker --ignorefile "$folder/Dockerfile.dockerignore" ;;
esac
# ENGINE may be a command with options, which have to become words.
# shellcheck disable=SC2086
$ENGINE build "$@" "$context"
