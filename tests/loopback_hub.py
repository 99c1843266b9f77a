"""A Hugging Face Hub on the loopback interface, as much of it as a dataset's way there and back needs.

Repositories live in memory. Parquet and PNG files go the large-file way: their content is uploaded
by digest first, and the commit names the digest. Start it with ``with LoopbackHub() as hub`` and give
``hub.environment(folder)`` to a child process.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_loopbackDummyToken"
LARGE = (".parquet", ".png")


@dataclass
class Repository:
    """Files by path, and how many commits there were."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0

    @property
    def sha(self) -> str:
        return hashlib.sha1(str((self.commits, sorted(self.files))).encode()).hexdigest()


class LoopbackHub:
    """The server's state. ``fail_commits`` answers that many commits with 500, ``echo_token`` writes
    the caller's token into every refusal, ``writers`` are the tokens that may write."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.uploads: list[str] = []
        self.fail_commits, self.fail_commits_after, self.echo_token = 0, 0, False
        self.readers, self.writers = {TOKEN}, {TOKEN}
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> LoopbackHub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, token: str | None = TOKEN) -> dict[str, str]:
        """This process's environment, pointed at the hub, with ``home`` for caches."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        mine = {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home)}
        return {**kept, **mine, **({"HF_TOKEN": token} if token else {})}


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        self._route([part for part in path.split("/") if part])

    do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815

    def _answer(self, status: int, content: Any = None, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status: int, why: str, code: str = "") -> None:
        said = f"{why} {self.headers.get('Authorization')}" if self.hub.echo_token else why
        self._answer(status, {"error": said}, X_Error_Code=code, X_Error_Message=said)

    def _route(self, parts: list[str]) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        match parts:
            case ["large", oid]:  # where the answer to a batch request points; needs no token
                self.hub.uploads.append(oid)
                self.hub.large[oid] = self.body
                return self._answer(200)
            case ["api", "validate-yaml"]:
                wrong = [{"message": "no such license"}] if b"license: no-such" in self.body else []
                return self._answer(400 if wrong else 200, {"errors": wrong, "warnings": []})
        if not token and not self._open_to_all(parts):  # as the Hub: it does not say which are there
            return self._refuse(401, "Invalid username or password.", "RepoNotFound")
        if token and token not in self.hub.readers:
            return self._refuse(401, "Invalid credentials in Authorization header")
        match parts:
            case ["api", "repos", "create"]:
                return self._create(json.loads(self.body), token)
            case ["api", "datasets", owner, name, *rest]:
                repository = self.hub.repositories.get(f"{owner}/{name}")
                if repository is None:
                    return self._refuse(404, "Repository not found", "RepoNotFound")
                return self._api(f"{owner}/{name}", repository, rest, token)
            case ["datasets", owner, name, "info", "lfs", "objects", "batch"]:
                return self._batch()
            case ["datasets", owner, name, "resolve", _, *path]:
                return self._resolve(f"{owner}/{name}", "/".join(path))
        return self._refuse(404, "no such address")

    def _open_to_all(self, parts: list[str]) -> bool:
        at = parts.index("datasets") + 1 if "datasets" in parts else len(parts)
        repository = self.hub.repositories.get("/".join(parts[at : at + 2]))
        return repository is not None and not repository.private

    def _create(self, wanted: dict[str, Any], token: str) -> None:
        repo_id = f"{wanted['organization']}/{wanted['name']}"
        if token not in self.hub.writers:
            return self._refuse(403, "You don't have the rights to create here")
        known = repo_id in self.hub.repositories
        if not known:
            self.hub.repositories[repo_id] = Repository(wanted.get("visibility") == "private")
        return self._answer(409 if known else 200, {"url": f"{self.hub.url}/datasets/{repo_id}"})

    def _api(self, repo_id: str, repository: Repository, rest: list[str], token: str) -> None:
        files = repository.files
        match rest:
            case [] | ["revision", _]:
                siblings = [{"rfilename": name} for name in sorted(files)]
                known = {"id": repo_id, "sha": repository.sha, "private": repository.private}
                return self._answer(200, {**known, "siblings": siblings})
            case ["tree", _, *folder]:
                return self._tree(files, "".join(f"{part}/" for part in folder))
            case ["paths-info", _]:
                wanted = json.loads(self.body)["paths"]
                return self._answer(200, [_entry(path, files[path]) for path in wanted if path in files])
            case ["preupload", _]:
                asked = [f["path"] for f in json.loads(self.body)["files"]]
                return self._answer(200, {"files": [_upload_mode(path, files) for path in asked]})
            case ["commit", _]:
                return self._commit(repo_id, repository, token)
        return self._refuse(404, "no such address")

    def _tree(self, files: dict[str, bytes], folder: str) -> None:
        inside = {path[len(folder) :] for path in files if path.startswith(folder)}
        if folder and not inside:
            return self._refuse(404, f"{folder} does not exist", "EntryNotFound")
        if "recursive=true" in urlsplit(self.path).query.lower():
            return self._answer(200, [_entry(folder + name, files[folder + name]) for name in sorted(inside)])
        folders = sorted({name.split("/")[0] for name in inside if "/" in name})
        entries: list[dict[str, Any]] = [
            {"type": "directory", "path": folder + name, "size": 0, "oid": "0" * 40} for name in folders
        ]
        entries += [_entry(folder + n, files[folder + n]) for n in sorted(inside) if "/" not in n]
        return self._answer(200, entries)

    def _batch(self) -> None:
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            upload = {"upload": {"href": f"{self.hub.url}/large/{wanted['oid']}"}}
            objects.append(wanted if wanted["oid"] in self.hub.large else {**wanted, "actions": upload})
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _commit(self, repo_id: str, repository: Repository, token: str) -> None:
        if token not in self.hub.writers:
            return self._refuse(403, "You don't have the rights to write here")
        if self.hub.fail_commits and repository.commits >= self.hub.fail_commits_after:
            self.hub.fail_commits -= 1
            return self._refuse(500, "the server broke down")
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                repository.files[value["path"]] = self.hub.large[value["oid"]]
        repository.commits += 1
        url = f"{self.hub.url}/datasets/{repo_id}/commit/{repository.sha}"
        return self._answer(200, {"commitUrl": url, "commitOid": repository.sha})

    def _resolve(self, repo_id: str, path: str) -> None:
        repository = self.hub.repositories.get(repo_id)
        if repository is None:
            return self._refuse(404, "Repository not found", "RepoNotFound")
        if path not in repository.files:
            return self._refuse(404, f"{path} does not exist", "EntryNotFound")
        content, etag = repository.files[path], f'"{_oid(path, repository.files[path])}"'
        return self._answer(200, content, ETag=etag, X_Repo_Commit=repository.sha, Accept_Ranges="bytes")


def _oid(path: str, content: bytes) -> str:
    """The large-file digest, or git's digest of a blob."""
    if path.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, content: bytes) -> dict[str, Any]:
    large = {"lfs": {"oid": _oid(path, content), "size": len(content), "pointerSize": 130}}
    known = {"type": "file", "path": path, "size": len(content), "oid": _oid(path, content)}
    return {**known, **(large if path.endswith(LARGE) else {})}


def _upload_mode(path: str, files: dict[str, bytes]) -> dict[str, Any]:
    mode = "lfs" if path.endswith(LARGE) else "regular"
    known = {"oid": _oid(path, files[path])} if path in files else {}
    return {"path": path, "uploadMode": mode, "shouldIgnore": False, **known}
