"""Hub datasets as image sources: downloaded through ``datasets``, whose cache holds Arrow files.

Nothing is loaded from a Hub unless ``hf:OWNER/NAME`` is written. The library reads the endpoint
(``HF_ENDPOINT``) and the token itself; no token ever stands in a message.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from syper_data.errors import InputError, SyperError

HUB = "hf:"
LOGIN = "run `hf auth login` or set HF_TOKEN"


def download_hub_dataset(name: str) -> list[tuple[Path, str]]:
    """The Arrow files of ``hf:OWNER/NAME`` in the library's cache, each with its split and number.

    Raises:
        InputError: no such name, no such dataset, or none that this token may read.
        SyperError: the Hub or the network failed.
    """
    repo_id = name.removeprefix(HUB)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id, re.ASCII):
        raise InputError(f"{name}: must be hf:OWNER/NAME, of letters, digits and . _ -")
    if Path(repo_id).exists():
        raise InputError(
            f"{name}: a folder {repo_id} lies here, which datasets would take instead; run it from another place"
        )
    from datasets import load_dataset

    with quiet_downloads():
        try:
            splits = load_dataset(repo_id)
        except Exception as error:  # the library raises many types for "not there", "no network", "no images"
            raise _explain(error, name) from None
    return [
        (Path(file["filename"]), f"{split}/{number}")
        for split, rows in splits.items()
        for number, file in enumerate(rows.cache_files)
    ]


def _explain(error: BaseException, name: str) -> SyperError:
    """One line without a token, whatever the library said and however often."""
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    chain = causes(error)
    status = next((e.response.status_code for e in chain if isinstance(e, HfHubHTTPError)), None)
    if isinstance(error, DatasetNotFoundError) or status in (401, 403, 404):
        return InputError(
            f"{name}: no such dataset on the Hub, or not for this token to read; check the name, and for a "
            f"private or gated one {LOGIN}"
        )
    if status is not None or any(isinstance(e, ConnectionError | LocalEntryNotFoundError) for e in chain):
        why = f" ({status})" if status is not None else ""
        return SyperError(f"{name}: the Hub can't be reached{why}; check the network and HF_ENDPOINT")
    first = redact((str(error).strip().splitlines() or [type(error).__name__])[0])[:300]
    return InputError(f"{name}: datasets cannot load it ({first})")


def causes(error: BaseException) -> list[BaseException]:
    """An error and what it came from, outermost first."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and len(chain) < 20:
        chain.append(cause)
    return chain


def hub_token() -> str | None:
    """The token of whoever is logged in, as the library finds it."""
    from huggingface_hub import get_token

    return get_token()


def redact(text: str) -> str:
    """``text`` without the token, anything that looks like one, and an address's credentials."""
    try:
        token = hub_token()
    except Exception:  # a failed refresh: then there is no token to hide
        token = None
    if token:
        text = text.replace(token, "***")
    return re.sub(r"hf_\w{6,}|(?<=://)[^/@\s]+(?=@)", "***", text)


@contextmanager
def quiet_downloads() -> Iterator[None]:
    """No bars and warnings of ``datasets`` and the Hub library: trouble is ours to word."""
    import datasets
    from huggingface_hub import utils

    hub: Any = utils  # its lazy exports are not typed
    bars = (not hub.are_progress_bars_disabled(), datasets.is_progress_bar_enabled())
    levels = (hub.logging.get_verbosity(), datasets.logging.get_verbosity())
    hub.disable_progress_bars()
    datasets.disable_progress_bars()
    hub.logging.set_verbosity(logging.CRITICAL)
    datasets.logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        hub.logging.set_verbosity(levels[0])
        datasets.logging.set_verbosity(levels[1])
        if bars[0]:
            hub.enable_progress_bars()
        if bars[1]:
            datasets.enable_progress_bars()
