"""The Jinja2 templates in ``cards/``, for Markdown cards and self-contained HTML pages.

What is filled in may come from anywhere: HTML is escaped by the engine, Markdown through the
filters ``code`` and ``plain``.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import jinja2

from syper_data.artifacts import artifact_folder

_LONGEST = 300
_MARKDOWN = re.compile(r"[^A-Za-z0-9 .,:;'()+/%-]")


def render_template(template: str, /, **values: Any) -> str:
    """Fill ``cards/TEMPLATE``; ``.html.j2`` templates are escaped, a missing value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(artifact_folder("cards")),
        undefined=jinja2.StrictUndefined,
        autoescape=template.endswith(".html.j2"),  # Markdown: see the filters
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": code_span, "plain": plain_text, "json": _json}
    return environment.get_template(template).render(**values)


def code_span(value: object) -> str:
    """Any text as one Markdown code span: one line, nothing in it can end the span."""
    text = "".join(c if c.isprintable() else " " for c in str(value)).strip() or " "
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 3] + "..."
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def plain_text(value: object) -> str:
    """Any text as Markdown text that reads the same and marks nothing up."""
    return _MARKDOWN.sub(lambda m: m[0] if m[0].isalnum() else f"&#{ord(m[0])};", str(value))


def data_uri(content: bytes, media_type: str) -> str:
    """A picture as a ``data:`` address, so that a page needs no other file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)
