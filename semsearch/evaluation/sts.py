"""Score encoders on sentence pairs, in the numbers that papers print.

The protocol is that of Gao et al. 2021 (SimCSE, arXiv:2104.08821) and Muennighoff et al. 2023
(MTEB, arXiv:2210.07316), or on request that of Conneau and Kiela 2018 (SentEval,
arXiv:1803.05449).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from semsearch.encoder import Encoder
from semsearch.errors import DataError, EncoderError
from semsearch.evaluation import bootstrap, data, leakage, lexical, nli, provenance, tasks, variants
from semsearch.evaluation.data import Pairs
from semsearch.evaluation.embedded import Embedded
from semsearch.evaluation.metrics import Metric, Similarity, Values, similarity
from semsearch.evaluation.outcome import StsReport
from semsearch.evaluation.scoring import Line, scored
from semsearch.evaluation.tasks import Aggregation, Language
from semsearch.evaluation.variants import Reduction, Variant
from semsearch.tables import read_texts
from semsearch.types import Device, Embeddings, Precision, RuntimeName

TARGET, NLI = "target", "nli"


def evaluate(
    encoders: Sequence[str | Path | Encoder],
    tasks: str | Sequence[str] | None = None,
    *,
    data_dir: str | Path | None = None,
    pairs: Sequence[str | Path | Pairs] = (),
    pooling: Sequence[str] = (),
    whiten: Sequence[int] = (),
    whiten_on: Sequence[str | Path] = (TARGET,),
    dims: Sequence[int] = (),
    metric: Metric = "spearman",
    similarity: Similarity = "cosine",
    aggregation: Aggregation = "all",
    trained_on: Sequence[str | Path] = (),
    seed: int = 0,
    draws: int = bootstrap.DRAWS,
    runtime: RuntimeName = "auto",
    device: Device = "cpu",
    precision: Precision = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> StsReport:
    """Score encoders, and variants of them, on STS tasks; the first row is a lexical baseline.

    Each encoder reads every sentence of the run once; whitened, reduced and cut-off variants are
    made of the same embeddings.

    Args:
        encoders: names, directories, hub ids or loaded encoders. The first one as it is (with
            the first pooling) is what every other row is compared with.
        tasks: names and groups of `tasks.TASKS` and `tasks.GROUPS`; "en" unless pairs are given.
        data_dir: where the tasks' data is; None asks the hub, at the pinned revisions.
        pairs: own tables of pairs, or what `data.read_pairs` made of them.
        pooling: each in place of the encoders' own.
        whiten: dimensions to whiten to.
        whiten_on: what whitening and PCA are fitted on: "target", the sentences of each task
            (without their scores); "nli", NLI sentences of its language; or a file of texts.
        dims: dimensions for a sweep over whitening, PCA and plain truncation.
        metric: correlation with the gold scores.
        similarity: of two vectors, as plain sentence-transformers gives them: of unit length
            where the encoder makes them so, or is whitened.
        aggregation: how the subsets of a task become one figure, see `metrics.aggregate`.
        trained_on: files of training pairs; test pairs among them are dropped and counted.
        seed: of the bootstrap.
        draws: of the bootstrap.
        progress: called with texts encoded and texts in total, for each encoder.

    Raises:
        DataError: no such task, a task asked for by name has no data, or a set has no
            correlation.
        EncoderError: an encoder cannot be loaded, or has fewer dimensions than asked for.
        MissingExtraError: a package is missing.
    """
    if not encoders:
        raise DataError("no encoder is named.")
    sets, skipped = _load(tasks, data_dir, pairs, trained_on)
    on = tuple(dict.fromkeys(str(item) for item in whiten_on))
    planned = variants.plan(tuple(whiten), tuple(dims), on)
    fit_texts = _fit_texts(planned, on, sets, data_dir)
    found = [_lexical(sets)]
    for encoder, label in _each(encoders, pooling, runtime, device, precision):
        _refuse_dims(encoder, planned)
        found += _variants(encoder, label, planned, sets, fit_texts, similarity, progress)
        del encoder
    _refuse_twins([line.label for line in found])
    rows = scored(found, sets, metric, aggregation, seed, draws)
    return StsReport(
        rows=rows,
        tasks=tuple(sets),
        metric=metric,
        similarity=similarity,
        aggregation=aggregation,
        compared_with=found[1].label,
        skipped=skipped,
        seed=seed,
        draws=draws,
        trained_on=tuple(Path(file).name for file in trained_on),
        provenance=provenance.collect(),
        predictions={line.label: line.predictions for line in found},
    )


def _load(
    names: str | Sequence[str] | None,
    data_dir: str | Path | None,
    own: Sequence[str | Path | Pairs],
    trained_on: Sequence[str | Path],
) -> tuple[list[Pairs], dict[str, str]]:
    """The sets that are scored, and why others are not."""
    sets: list[Pairs] = []
    skipped: dict[str, str] = {}
    if names is None and not own:
        names = "en"
    for chosen in tasks.choose(names) if names is not None else ():
        try:
            sets.append(data.load(chosen.task, data_dir))
        except data.NoDataError as error:
            if chosen.by_name:
                raise
            skipped[chosen.task.name] = error.reason
    sets += [item if isinstance(item, Pairs) else data.read_pairs(item) for item in own]
    if not sets:
        raise DataError(f"no task has data. {next(iter(skipped.values()))}.")
    _refuse_twins([pairs.task.name for pairs in sets])
    if trained_on:
        seen = leakage.seen(trained_on)
        sets = [leakage.drop(pairs, seen) for pairs in sets]
    return sets, skipped


def _each(
    encoders: Sequence[str | Path | Encoder],
    pooling: Sequence[str],
    runtime: RuntimeName,
    device: Device,
    precision: Precision,
) -> Iterator[tuple[Encoder, str]]:
    """Encoders one after the other, so that only one is in memory, with their labels."""
    names = [item.source if isinstance(item, Encoder) else str(item) for item in encoders]
    short = [Path(name).name if Path(name).is_dir() else name for name in names]
    labels = short if len(set(short)) == len(short) else names
    for item, label in zip(encoders, labels, strict=True):
        if isinstance(item, Encoder):
            if pooling:
                raise EncoderError(f"{label} is loaded already: its pooling cannot be changed.")
            yield item, label
            continue
        for mode in pooling or (None,):
            # The names of poolings are the encoder's business: it says which ones it has.
            loaded = Encoder.load(
                item,
                pooling=cast(Any, mode),
                runtime=runtime,
                device=device,
                precision=precision,
            )
            yield loaded, f"{label}, {mode}" if mode else label


def _lexical(sets: Sequence[Pairs]) -> Line:
    predictions = {pairs.task.name: lexical.predict(pairs) for pairs in sets}
    return Line("tf-idf", Variant(), None, predictions, {})


def _variants(
    encoder: Encoder,
    label: str,
    planned: Sequence[Variant],
    sets: Sequence[Pairs],
    fit_texts: Mapping[tuple[str, str], Sequence[str]],
    kind: Similarity,
    progress: Callable[[int, int], None] | None,
) -> list[Line]:
    """The predictions of every variant of one encoder."""
    texts = [text for pairs in sets for text in pairs.sentences]
    texts += [text for some in fit_texts.values() for text in some]
    embedded = Embedded(encoder, texts, progress)
    about = provenance.describe(encoder) | {
        "encoded_texts": len(embedded),
        "encoding_seconds": round(embedded.seconds, 2),
    }
    largest = max((variant.dim or 1 for variant in planned), default=1)
    reductions: dict[tuple[str, str], Reduction] = {}
    predictions: dict[Variant, dict[str, Values]] = {variant: {} for variant in planned}
    fitted: dict[Variant, dict[str, int]] = {variant: {} for variant in planned}
    for pairs in sets:
        name = pairs.task.name
        x, a, b = _sides(embedded, pairs)
        for variant in planned:
            reduction = None
            if variant.fitted_on is not None:
                key = _fit_key(variant.fitted_on, pairs)
                if key not in reductions:
                    on = pairs.sentences if variant.fitted_on == TARGET else fit_texts[key]
                    reductions[key] = Reduction(embedded.of(on), largest)
                reduction = reductions[key]
                fitted[variant][name] = reduction.n_texts
            y = variants.derive(variant, x, reduction, embedded.unit)
            predictions[variant][name] = similarity(y[a], y[b], kind)
        reductions = {key: value for key, value in reductions.items() if key[0] != TARGET}
    return [
        Line(
            ", ".join(filter(None, (label, variant.label))),
            variant,
            about,
            predictions[variant],
            fitted[variant],
        )
        for variant in planned
    ]


def _sides(embedded: Embedded, pairs: Pairs) -> tuple[Embeddings, Any, Any]:
    """The embeddings of a set's distinct sentences, and which rows its two sides are."""
    row = {text: number for number, text in enumerate(dict.fromkeys(pairs.sentences))}
    sides = [np.array([row[text] for text in side]) for side in (pairs.first, pairs.second)]
    return embedded.of(list(row)), sides[0], sides[1]


def _fit_key(source: str, pairs: Pairs) -> tuple[str, str]:
    """What else, besides its name, says which texts a source stands for."""
    if source == TARGET:
        return source, pairs.task.name
    return source, pairs.task.language if source == NLI else ""


def _fit_texts(
    planned: Sequence[Variant],
    sources: Sequence[str],
    sets: Sequence[Pairs],
    data_dir: str | Path | None,
) -> dict[tuple[str, str], Sequence[str]]:
    """The texts that are not the target's own and that a planned variant is fitted on."""
    needed = {variant.fitted_on for variant in planned}
    found: dict[tuple[str, str], Sequence[str]] = {}
    for source in sources:
        for pairs in sets:
            key = _fit_key(source, pairs)
            if source not in needed or source == TARGET or key in found:
                continue
            if source == NLI:
                found[key] = nli.sentences(data_dir, cast(Language, key[1]))
            else:
                found[key] = read_texts(source)
    return found


def _refuse_dims(encoder: Encoder, planned: Sequence[Variant]) -> None:
    for variant in planned:
        if variant.dim is not None and not 1 <= variant.dim <= encoder.dim:
            raise EncoderError(
                f"{encoder.source} has {encoder.dim} dimensions; {variant.dim} were asked for."
            )


def _refuse_twins(names: Sequence[str]) -> None:
    twin = next((name for name in names if list(names).count(name) > 1), None)
    if twin is not None:
        raise DataError(f"{twin!r} is there twice. Name each encoder and each task once.")
