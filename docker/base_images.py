#!/usr/bin/env python3
"""Takes the newest digests of the Dockerfile's base images, and says what changes: `make base-images`.

    docker/base_images.py [DOCKERFILE]

An image is an ARG whose name ends in _IMAGE: REGISTRY/REPOSITORY:TAG@sha256:DIGEST. The registry is
asked which digest the tag has now, and when the image for linux/amd64 was made. Needs no container
engine. Registries are asked by https, one on this machine by http, and none for a login.
"""

import hashlib
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

_IMAGE = re.compile(
    r"^ARG (?P<arg>\w+_IMAGE)=(?P<registry>[^/\s]+)/(?P<repository>[^:@\s]+):(?P<tag>[^@\s]+)"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?$",
    re.MULTILINE,
)
_INDEX = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFEST = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# Manifests and configurations are some kilobytes.
_LARGEST = 4 << 20
# The name of Docker's registry is not the host that answers for it.
_HOSTS = {"docker.io": "registry-1.docker.io"}


class Unanswered(Exception):
    """A registry did not say what it was asked; the message says which and why."""


def _base(host):
    name = host.partition(":")[0]
    scheme = "http" if name in ("127.0.0.1", "localhost") else "https"
    return f"{scheme}://{_HOSTS.get(host, host)}"


def _read(request):
    with urllib.request.urlopen(request, timeout=30) as answer:
        content = answer.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise Unanswered(f"{request.full_url}: more than {_LARGEST} bytes")
    return content


def _token(challenge, base):
    """The token that a registry's challenge says how to get; anybody gets one to read with."""
    given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = given.pop("realm", "")
    if not realm.startswith("https://") and not realm.startswith(f"{base}/"):
        raise Unanswered(f"{base} wants a login at {realm!r}, which is not asked")
    answer = json.loads(_read(urllib.request.Request(f"{realm}?{urllib.parse.urlencode(given)}")))
    return answer.get("token") or answer["access_token"]


class Registry:
    """One registry, as far as reading public images."""

    def __init__(self, host):
        self._base = _base(host)
        self._tokens = {}

    def _get(self, repository, path, accept):
        url = f"{self._base}/v2/{repository}/{path}"
        request = urllib.request.Request(url, headers={"Accept": ", ".join(accept)})
        if repository in self._tokens:
            # Not handed on where the answer leads elsewhere.
            request.add_unredirected_header("Authorization", f"Bearer {self._tokens[repository]}")
        try:
            return _read(request)
        except urllib.error.HTTPError as error:
            challenge = error.headers.get("WWW-Authenticate", "")
            if error.code != 401 or repository in self._tokens or "Bearer" not in challenge:
                raise Unanswered(f"{url}: {error}") from error
        except OSError as error:
            raise Unanswered(f"{url}: {error}") from error
        self._tokens[repository] = _token(challenge, self._base)
        return self._get(repository, path, accept)

    def _checked(self, repository, path, digest, accept):
        """What is under a digest, held against it."""
        content = self._get(repository, f"{path}/{digest}", accept)
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if found != digest:
            raise Unanswered(f"{self._base}: {repository}@{digest} has the digest {found}")
        return json.loads(content)

    def digest(self, repository, tag):
        """The digest that a tag has now."""
        content = self._get(repository, f"manifests/{tag}", _INDEX + _MANIFEST)
        return f"sha256:{hashlib.sha256(content).hexdigest()}"

    def created(self, repository, digest):
        """When the image for linux/amd64 was made, as the image says."""
        manifest = self._checked(repository, "manifests", digest, _INDEX + _MANIFEST)
        if "manifests" in manifest:
            of_platform = [
                each["digest"]
                for each in manifest["manifests"]
                if each.get("platform", {}).get("os") == "linux"
                and each["platform"].get("architecture") == "amd64"
            ]
            if not of_platform:
                raise Unanswered(f"{self._base}: {repository}@{digest} is not for linux/amd64")
            manifest = self._checked(repository, "manifests", of_platform[0], _MANIFEST)
        config = manifest["config"]["digest"]
        return self._checked(repository, "blobs", config, ("*/*",)).get("created", "unknown")


def update(text, registry=Registry):
    """The Dockerfile's text with the newest digests, and a sentence for each image."""
    told = []

    def newest(found):
        name = f"{found['registry']}/{found['repository']}:{found['tag']}"
        asked = registry(found["registry"])
        digest = asked.digest(found["repository"], found["tag"])
        if digest == found["digest"]:
            told.append(f"{name}: still {digest}")
        else:
            made = asked.created(found["repository"], digest)
            told.append(f"{name}:\n  {found['digest'] or 'no digest'}\n  {digest}, made {made}")
        return f"ARG {found['arg']}={name}@{digest}"

    return _IMAGE.sub(newest, text), told


def main():
    """Update the Dockerfile; gives the exit status."""
    folder = Path(__file__).resolve().parent
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "Dockerfile"
    try:
        text, told = update(path.read_text(encoding="utf-8"))
    except Unanswered as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    path.write_text(text, encoding="utf-8")
    print("\n".join(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
