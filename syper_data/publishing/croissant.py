"""``croissant.json``: the dataset described in Croissant 1.0, the MLCommons metadata format.

Paths are relative to the file, so it holds in the exported folder and in any download of it. The
record set ``default`` reads the Parquet shards; each file is listed with its SHA-256 besides, as
long as there are few.
"""

from __future__ import annotations

import json
from typing import Any

from syper_data.dataset.directory import DATA, MANIFEST
from syper_data.publishing.audit import audit_text
from syper_data.publishing.card import Publication

CROISSANT = "croissant.json"
RECORD_SET = "default"

_LISTED_SHARDS = 100  # more are described by their pattern alone
_SHARDS = "shards"
_PARQUET = "application/x-parquet"
_CITATION = (
    "@article{kolf2023syper, title={{SyPer}: Synthetic periocular data for quantized light-weight "
    "recognition in the {NIR} and visible domains}, author={Kolf, Jan Niklas and Elliesen, Jurek and "
    "Boutros, Fadi and Proen{\\c c}a, Hugo and Damer, Naser}, journal={Image and Vision Computing}, "
    "volume={135}, pages={104692}, year={2023}, doi={10.1016/j.imavis.2023.104692}}"
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def render_croissant(publication: Publication, manifest_bytes: int, date_published: str) -> str:
    """The file's text; ``date_published`` is an ISO date."""
    record: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": publication.name,
        "alternateName": publication.title,
        "description": (
            f"{publication.rows} synthetic {publication.spectrum} images of the eye region, each made by "
            "a generative network from a seed; manifest.json holds all that is needed to make them again."
        ),
        "license": publication.license,
        "citeAs": _CITATION,
        "datePublished": date_published,
        "version": f"1.0.0+{publication.manifest_sha256[:12]}",
        "keywords": ["synthetic", "periocular", "biometrics", "StyleGAN2", publication.spectrum],
        "isLiveDataset": False,
        "distribution": _files(publication, manifest_bytes),
        "recordSet": [_records(publication)],
    }
    if publication.repo_id and publication.url:
        record["url"] = publication.url
        record["creator"] = {"@type": "sc:Organization", "name": publication.repo_id.split("/")[0]}
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def _files(publication: Publication, manifest_bytes: int) -> list[dict[str, Any]]:
    def file(path: str, encoding: str, size: int, sha256: str) -> dict[str, Any]:
        return {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": path,
            "contentSize": f"{size} B",
            "encodingFormat": encoding,
            "sha256": sha256,
        }

    shards = publication.completion.shards
    pattern = {
        "@type": "cr:FileSet",
        "@id": _SHARDS,
        "name": _SHARDS,
        "description": f"{len(shards)} Parquet file{'' if len(shards) == 1 else 's'}, the split train.",
        "encodingFormat": _PARQUET,
        "includes": f"{DATA}/*.parquet",
    }
    rejected = publication.rejected
    listed = shards if len(shards) <= _LISTED_SHARDS else ()
    return [
        file(MANIFEST, "application/json", manifest_bytes, publication.manifest_sha256),
        *(file(f"{DATA}/{s.name}", _PARQUET, s.bytes, s.sha256) for s in listed),
        pattern,
        *([] if rejected is None else [file(rejected.name, _PARQUET, rejected.bytes, rejected.sha256)]),
    ]


def _records(publication: Publication) -> dict[str, Any]:
    def field(name: str, kind: str, description: str, **source: Any) -> dict[str, Any]:
        return {
            "@type": "cr:Field",
            "@id": f"{RECORD_SET}/{name}",
            "name": name,
            "description": description,
            "dataType": kind,
            "source": {"fileSet": {"@id": _SHARDS}, "extract": {"column": name}, **source},
        }

    scores = [] if publication.ledger is None else audit_text(publication.ledger).scores
    conditional = publication.manifest.generator.c_dim > 0
    key = [f"{RECORD_SET}/seed", f"{RECORD_SET}/label"] if conditional else [f"{RECORD_SET}/seed"]
    return {
        "@type": "cr:RecordSet",
        "@id": RECORD_SET,
        "name": RECORD_SET,
        "description": "One record an image, in the order of the manifest.",
        "key": [{"@id": name} for name in key],
        "field": [
            field("image", "sc:ImageObject", "The image.", transform={"jsonPath": "bytes"}),
            field("seed", "sc:Integer", "The number that the image was made from."),
            field(
                "label",
                "sc:Integer",
                f"{publication.label_in_words[0].upper()}{publication.label_in_words[1:]}.",
            ),
            field("spectrum", "sc:Text", "vis (visible) or nir (near-infrared)."),
            field("pixel_sha256", "sc:Text", "SHA-256 of the uint8 pixels given to the encoder."),
            *(field(name, "sc:Float", text) for name, text in scores),
        ],
    }
