"""Converters from the official release formats of benchmarks to benchmark files. One module per release format."""

from collections.abc import Callable, Iterator

from eaglebench.data.converters import (
    ai2d,
    chartqa,
    docvqa,
    gqa,
    mathvista,
    mmbench,
    mme,
    mmmu,
    mmvp,
    ocrbench,
    pope,
    realworldqa,
    scienceqa,
    seed,
    textvqa,
    vizwiz,
    vqav2,
)
from eaglebench.data.converters.base import Record, Source

CONVERTERS: dict[str, Callable[[Source], Iterator[Record]]] = {
    "gqa": gqa.convert,
    "vizwiz": vizwiz.convert,
    "mme": mme.convert,
    "seed": seed.convert,
    "ocrbench": ocrbench.convert,
    "docvqa": docvqa.convert_docvqa,
    "chartqa": chartqa.convert,
    "ai2d": ai2d.convert,
    "pope": pope.convert,
    "realworldqa": realworldqa.convert,
    "scienceqa": scienceqa.convert,
    "vqav2": vqav2.convert,
    "textvqa": textvqa.convert,
    "mmbench": mmbench.convert,
    "mmmu": mmmu.convert,
    "mathvista": mathvista.convert,
    "infovqa": docvqa.convert_infovqa,
    "mmvp": mmvp.convert,
}
