#!/bin/sh
# Pushes a built image to Amazon ECR, into a repository that scans on push and
# is made if it does not exist.
#
#   docker/push-image.sh IMAGE REPOSITORY:TAG
#
#   docker/push-image.sh feature-engineering:4f0e... pipewright/feature-engineering:4f0e...
#
# A tag that is in the repository already is left as it is: tags are immutable
# and name the image's sources. The last line printed is the image's URI.
#
#   ENGINE  docker, podman or buildah; by default the first of them that is
#           installed. May have options: ENGINE='buildah --storage-driver vfs'
#
# Needs the AWS command line with credentials and a region. The deployed stack
# makes the repository itself: deploy first, or remove the repository that this
# script made before.
set -eu

usage() {
    sed -n '2,/^set -eu/ { /^#/ s/^#\( \|$\)//p }' "$0" >&2
    exit 2
}

[ $# -eq 2 ] || usage
image="$1"
case "$2" in
    ?*:?*) repository="${2%:*}" tag="${2##*:}" ;;
    *) usage ;;
esac

if [ -z "${ENGINE:-}" ]; then
    for candidate in docker podman buildah; do
        if command -v "$candidate" > /dev/null; then
            ENGINE="$candidate"
            break
        fi
    done
fi
[ -n "${ENGINE:-}" ] || {
    echo 'push-image.sh: neither docker, podman nor buildah is installed' >&2
    exit 1
}
command -v aws > /dev/null || {
    echo 'push-image.sh: the AWS command line is not installed' >&2
    exit 1
}

# Asks for the repository's address; fails where there is no such repository,
# and says so unless that is what is being found out.
address() {
    aws ecr describe-repositories --repository-names "$repository" \
        --query 'repositories[0].repositoryUri' --output text
}

errors="$(mktemp)"
trap 'rm -f "$errors"' EXIT
trap 'exit 1' HUP INT TERM
if ! uri="$(address 2> "$errors")"; then
    grep -q RepositoryNotFoundException "$errors" || {
        cat "$errors" >&2
        exit 1
    }
    echo "Making the repository $repository" >&2
    aws ecr create-repository --repository-name "$repository" \
        --image-scanning-configuration scanOnPush=true \
        --image-tag-mutability IMMUTABLE > /dev/null
    uri="$(address)"
fi

if aws ecr describe-images --repository-name "$repository" --image-ids "imageTag=$tag" \
    > /dev/null 2> "$errors"; then
    echo "$uri:$tag is there already" >&2
else
    grep -q ImageNotFoundException "$errors" || {
        cat "$errors" >&2
        exit 1
    }
    # The address is <registry>/<repository>. ENGINE may be a command with
    # options, which have to become words.
    # shellcheck disable=SC2086
    {
        aws ecr get-login-password | $ENGINE login --username AWS --password-stdin "${uri%%/*}" >&2
        $ENGINE tag "$image" "$uri:$tag" >&2
        $ENGINE push "$uri:$tag" >&2
    }
fi
echo "$uri:$tag"
