"""How vectors are indexed: a FAISS factory string, and how much a search may look at."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from semsearch.ann import twofold
from semsearch.ann.library import faiss
from semsearch.ann.parameters import clusters_of
from semsearch.errors import FactoryError

FLAT = "Flat"
AUTO = "auto"

_GRAPH = re.compile(r"CAGRA(\d*)")
_GRAPH_LINKS = 64
_LINKS = range(4, 258, 2)
_GRAPH_PARAMETERS = "efSearch=128"

_AT_LEAST_ONE = ("nprobe", "efSearch", "k_factor", "k_factor_rf")

_FLAT_BYTES = 1 << 26
"""Up to here every vector is read for a query: 65,536 of 256 dimensions, in 2 to 4 ms."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a snapshot is made as.

    Attributes:
        factory: a FAISS factory string, "HNSW32_SQ8,RFlat"; or "CAGRA64", a graph of so many links
            that a GPU makes and any machine searches. Where there is none, it is an HNSW graph.
        parameters: what `faiss.ParameterSpace` sets on it, "efSearch=64,k_factor_rf=4"; may be
            empty.
    """

    factory: str = FLAT
    parameters: str = ""

    def __str__(self) -> str:
        return f"{self.factory} {self.parameters}".rstrip()

    @classmethod
    def parse(cls, text: str) -> Setting:
        """What `str` writes: a factory string, and after a space what is set on it."""
        factory, _, parameters = text.strip().partition(" ")
        return cls(factory, parameters.replace(" ", ""))

    @property
    def links(self) -> int:
        """Of each vector in a graph that a GPU makes, "CAGRA64"; 0 for all other factories."""
        match = _GRAPH.fullmatch(self.factory)
        return int(match[1] or _GRAPH_LINKS) if match else 0


EXACT = Setting()


def automatic(n: int, dim: int) -> Setting:
    """The setting for n vectors of dim dimensions, where nobody asked for one.

    Clusters of 4-bit product codes, which the processor compares 32 at a time, find candidates, and
    the vectors themselves, in 12 bits, decide among them (André et al. 2017, arXiv:1704.07355).
    The more clusters there are, the smaller a share of them is enough: three eighths of 256, little
    more than a quarter of 1,024. Among 100,000 to 1,000,000 sentences this finds 99% of the ten
    nearest: benchmarks/neighbours.py.
    """
    if n * dim * 4 <= _FLAT_BYTES:
        return EXACT
    lists = 1 << round(math.log2(0.8 * math.sqrt(n)))
    return clusters(n, lists, dim, twofold.REFINEMENT, lists // 4 + 32)


def clusters(n: int, lists: int, dim: int, refinement: str, nprobe: int) -> Setting:
    """Clusters of 4-bit product codes, one code for two dimensions where they can be split so.

    Vectors are turned at random before, so that all dimensions vary alike and codes of one length
    fit them all (Jégou et al. 2010, doi:10.1109/CVPR.2010.5540039): of an encoder whose dimensions
    vary unevenly, as the embedded one's do, a fifth of the candidates finds as much then; others
    lose nothing. Coarser codes lose more neighbours, the larger the bank is.
    """
    factory = f"RR{dim},IVF{lists},PQ{dim // 2 if dim % 2 == 0 else dim}x4fs{refinement}"
    return Setting(factory, f"nprobe={nprobe},k_factor_rf={candidates_for(n)}")


def candidates_for(n: int) -> int:
    """How many candidates for each neighbour among n vectors are scored again where four bits stand
    for two dimensions: 7 among 100,000, 10 among a million."""
    return max(4, round(math.pow(n, 1 / 6)))


def check(setting: Setting, dim: int) -> None:
    """Find out that FAISS does not know a setting before any work is done.

    Raises:
        FactoryError: it does not, or not for vectors of so many dimensions.
    """
    if setting.factory != AUTO:
        _refuse_useless(setting)
        make(setting, dim)


def _refuse_useless(setting: Setting) -> None:
    """What FAISS takes, and cannot search or fill afterwards."""
    for part, why in (
        (r"IDMap2?", "labels are kept beside already"),
        (r"[A-Za-z]+0+(?![0-9.x])", "nothing can be made of 0"),
    ):
        found = re.search(rf"(?<![0-9A-Za-z]){part}", setting.factory)
        if found:
            raise FactoryError(f"{setting.factory}: {found[0]} cannot be used, {why}.")
    for parameter in filter(None, setting.parameters.split(",")):
        name, _, value = parameter.partition("=")
        if not name.endswith(_AT_LEAST_ONE):
            continue
        try:
            good = 1 <= float(value) < 1 << 31
        except ValueError:
            good = False
        if not good:
            raise FactoryError(f"{setting}: {name} must be a number from 1 on, not {value!r}.")


def make(setting: Setting, dim: int) -> Any:
    """An empty FAISS index for inner products.

    Raises:
        FactoryError: FAISS does not know it, or not for vectors of so many dimensions.
    """
    if not setting.factory.isascii():
        raise FactoryError(f"{setting.factory!r} is no factory string of FAISS. Take auto.")
    library = faiss()
    links = setting.links
    if links:
        if links not in _LINKS:
            raise FactoryError(
                f"{setting.factory}: a graph has an even number of links from {_LINKS.start} to "
                f"{_LINKS[-1]}. Take CAGRA{_GRAPH_LINKS}."
            )
        # Of its links, HNSW counts half; a GPU's graph is searched in its lowest layer.
        index = library.IndexHNSWCagra(dim, links // 2, library.METRIC_INNER_PRODUCT)
        configure_graph(index, setting)
        return index
    try:
        if setting.factory.endswith(twofold.REFINEMENT):
            index = twofold.make(dim, setting.factory)
        else:
            index = library.index_factory(dim, setting.factory, library.METRIC_INNER_PRODUCT)
    except RuntimeError as error:  # what FAISS throws for everything
        raise _refused(setting, dim, error) from error
    _keep_quiet(index)
    configure(index, setting)
    return index


def configure(index: Any, setting: Setting) -> None:
    """Set what a search may look at, on an index and those that it is made of.

    Raises:
        FactoryError: it has no such parameters.
    """
    if not setting.parameters:
        return
    try:
        faiss().ParameterSpace().set_index_parameters(index, setting.parameters)
    except RuntimeError as error:
        raise _refused(setting, index.d, error) from error


def configure_graph(index: Any, setting: Setting) -> None:
    """The same for a graph of a GPU, which FAISS leaves at what finds little.

    Raises:
        FactoryError: it has no such parameters.
    """
    configure(index, replace(setting, parameters=setting.parameters or _GRAPH_PARAMETERS))


def _refused(setting: Setting, dim: int, error: RuntimeError) -> FactoryError:
    return FactoryError(
        f"FAISS cannot make {setting} for {dim} dimensions: {said(error)}. Take auto, or see "
        "FAISS's list of factory strings."
    )


def _keep_quiet(index: Any) -> None:
    """FAISS writes to stderr by itself where clusters are small."""
    ivf = clusters_of(index)
    if ivf is not None:
        ivf.cp.min_points_per_centroid = 1


def said(error: RuntimeError) -> str:
    """FAISS's own words, without the place in its source."""
    return str(error).strip().splitlines()[-1].rpartition(": ")[2][:200].rstrip(".")
