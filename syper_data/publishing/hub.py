"""The push to a Hugging Face Hub.

The library reads the endpoint (``HF_ENDPOINT``) and the token itself; neither a token nor the
credentials of an endpoint ever stand in a message. Files that the Hub has already are not sent
again, so an interrupted push is finished by the same command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from syper_data.dataset.directory import COMPLETE, DATA, KEPT, REJECTED, TOPUPS
from syper_data.errors import SyperError, UsageError
from syper_data.imaging.hub_source import LOGIN, causes, hub_token, quiet_downloads, redact

Report = Callable[[str, int, int], None]

BATCH_BYTES = 256 * 2**20  # sent before the next commit and the next sign of progress
_MAX_COMMITS = 20


def check_repo_id(repo_id: str) -> None:
    """Raise :class:`UsageError` unless ``repo_id`` is a well-formed OWNER/NAME."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        well_formed = False
    else:
        well_formed = repo_id.count("/") == 1
    if not well_formed:
        raise UsageError(
            f"--repo-id is {repo_id!r}: must be OWNER/NAME, of letters, digits and . _ - (at most 96)"
        )


def require_token() -> None:
    """Raise :class:`UsageError` where nobody is logged in, before any long work."""
    if hub_token() is None:
        raise UsageError(f"no Hugging Face token is set: {LOGIN}")


def dataset_url(repo_id: str) -> str:
    """Where the dataset's page is, or will be."""
    return f"{_endpoint()}/datasets/{repo_id}"


def push(
    folder: Path,
    repo_id: str,
    files: Mapping[str, int],
    *,
    private: bool = False,
    report: Report | None = None,
) -> None:
    """Create the dataset repository if there is none, and upload ``files`` of ``folder`` (relative
    paths, and how many images each holds), in one commit or, above 256 MiB, in up to 20.

    ``private`` is for a new repository; an existing one keeps its visibility, and is refused if it
    is public and ``private`` is asked for.

    Raises:
        UsageError: no or a refused token, no right to write, a repository with other shards in it.
        SyperError: the Hub or the network failed; the same call continues.
    """
    from huggingface_hub import HfApi

    check_repo_id(repo_id)
    require_token()
    batches = _batches(folder, files)
    done, total = 0, sum(files.values())
    with _one_line(repo_id), quiet_downloads():
        api = HfApi()
        api.create_repo(repo_id, repo_type="dataset", private=True if private else None, exist_ok=True)
        _check_repository(api.repo_info(repo_id, repo_type="dataset"), repo_id, files, private)
        for number, batch in enumerate(batches, 1):
            if report is not None:
                report("uploading", done, total)
            part = f" ({number} of {len(batches)})" if len(batches) > 1 else ""
            api.upload_folder(
                repo_id=repo_id,
                repo_type="dataset",
                folder_path=folder,
                allow_patterns=[_literal(name) for name in batch],
                commit_message=f"Upload with syper-data{part}",
            )
            done += sum(files[name] for name in batch)
    if report is not None:
        report("uploading", total, total)


def _batches(folder: Path, files: Iterable[str]) -> list[list[str]]:
    """The small files first, so that a half-pushed dataset has a card that says how much is missing."""
    ordered = sorted(files, key=lambda name: (name.startswith(f"{DATA}/"), name))
    sizes = {name: (folder / name).stat().st_size for name in ordered}
    limit = max(BATCH_BYTES, sum(sizes.values()) // _MAX_COMMITS)
    batches: list[list[str]] = [[]]
    filled = 0
    for name in ordered:
        if filled >= limit:
            batches.append([])
            filled = 0
        batches[-1].append(name)
        filled += sizes[name]
    return batches


def _check_repository(info: Any, repo_id: str, files: Container[str], private: bool) -> None:
    if private and not info.private:
        raise UsageError(
            f"{repo_id}: exists and is public, so --private can't hold; change it on the Hub or choose "
            "another --repo-id"
        )
    there = [file.rfilename for file in info.siblings or ()]
    folders = tuple(f"{part}/" for part in (DATA, REJECTED, TOPUPS))
    ours = [name for name in there if name.startswith(folders) or name in (COMPLETE, KEPT)]
    strangers = sorted(name for name in ours if name not in files)
    if strangers:
        raise UsageError(
            f"{repo_id}: holds {strangers[0]}, which is no part of this dataset and would be loaded or checked "
            "with it; delete it on the Hub or choose another --repo-id"
        )


def _literal(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


@contextmanager
def _one_line(repo_id: str) -> Iterator[None]:
    """Turn whatever the library raises into one line without a token."""
    try:
        yield
    except SyperError:
        raise
    except Exception as error:  # the library raises OSError, ValueError, RuntimeError and its transport's own
        raise _explain(error, repo_id) from None


def _explain(error: BaseException, repo_id: str) -> SyperError:
    from huggingface_hub.errors import HfHubHTTPError

    answers = [e for e in causes(error) if isinstance(e, HfHubHTTPError)]
    endpoint = redact(_endpoint())
    if not answers:
        reason = redact(" ".join(str(error).split()) or type(error).__name__)[:300]
        return SyperError(
            f"{endpoint}: the push to {repo_id} broke off ({reason}); check the network and HF_ENDPOINT "
            "and run the same command again"
        )
    status = answers[0].response.status_code
    said = redact(" ".join((answers[0].server_message or "").split()))[:300]
    because = f"{status}: {said}" if said else f"{status}"
    if status == 401:
        return UsageError(f"{endpoint}: does not accept the token (401); {LOGIN}")
    if status == 403:
        return UsageError(f"{endpoint}: the token may not write to {repo_id} (403); use one that may")
    if 400 <= status < 500 and status not in (408, 429):
        return UsageError(f"{endpoint}: refuses the push to {repo_id} ({because})")
    return SyperError(
        f"{endpoint}: failed at the push to {repo_id} ({because}); run the same command again, what the Hub "
        "has is not sent again"
    )


def _endpoint() -> str:
    """The Hub's address without credentials."""
    from huggingface_hub import constants

    parts = urlsplit(constants.ENDPOINT)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
