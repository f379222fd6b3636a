"""Write the tables that the embedded encoder is trained on.

    python recipes/embedded/prepare.py DATA OUT [--share 1.0] [--seed 0]

DATA is the folder of the shared data. Every file is the same for the same seed; `tables.json` has
their SHA-256 and counts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
from collections.abc import Sequence
from pathlib import Path

import apart
import lexicon
import overlap
import phrasebook
import pyarrow as pa
import pyarrow.parquet as parquet
import sayings
import texts
import vocabulary

from semsearch.encoder.source import resolve

TEACHER = "minilm"
TIMES = {"tatoeba": 3, "captions": 3, "manuals": 2}
"""How often the Chinese of a pair is learnt from: everyday language more often than manuals."""
WORD_WEIGHTS = {"tatoeba": 1.0, "captions": 0.5, "manuals": 0.2, "switched": 1.0, "chinese": 0.5}
"""How much the words of a source count: everyday language more than manuals."""
N_CHINESE = 150_000
"""Sentences of Wikipedia whose words are counted."""
QUESTION_TIMES = 3
N_SWITCHED = 40_000
N_EDITED = 30_000
N_ASKED = 30_000
"""Questions of the phrasebook with a doing; all others come besides."""
N_ASKED_TRIPLETS = 25_000
N_ASKED_PAIRS = 30_000
SAID_TIMES = 4
"""How often each wording is learnt from; triplets of wordings come besides."""
N_SAID_TRIPLETS = 190_000
LONGEST_EDITED = 40
LEAST_CHINESE = 0.6
"""Of the characters of a switched question that is edited."""

logger = logging.getLogger("recipe")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of each source, for trying it")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    prepare(arguments.data, arguments.out, share=arguments.share, seed=arguments.seed)


def prepare(data: Path, out: Path, *, share: float = 1.0, seed: int = 0) -> dict[str, object]:
    """Write all tables; returns what tables.json holds."""
    out.mkdir(parents=True, exist_ok=True)
    found = texts.read(data, seed=seed, share=share)
    parallel = {name: getattr(found, name) for name in TIMES}
    short = [pair for pairs in parallel.values() for pair in pairs if len(pair[1]) <= 80]
    words = lexicon.learn(short)
    logger.info(
        "%s English words with a translation: %.0f%% of the words of the questions",
        f"{len(words):,}",
        100 * lexicon.coverage(found.questions, words),
    )
    rng = random.Random(seed)
    switched = _switched(found, words, rng)
    english = [*found.english, *found.questions]
    rows = [
        *((text, text) for text in found.english),
        *((text, text) for text in found.questions * QUESTION_TIMES),
        *(pair for name, pairs in parallel.items() for pair in pairs * TIMES[name]),
        *switched,
    ]
    _write(out / "pairs.parquet", ("anchor", "positive"), rows)
    translations = [pair for pairs in parallel.values() for pair in pairs]
    _write(out / "parallel.parquet", ("anchor", "positive"), translations)
    _write(out / "dev.parquet", ("anchor", "positive"), found.dev)
    _write(out / "test.parquet", ("anchor", "positive"), found.test)
    _write(out / "triplets.parquet", ("anchor", "positive", "negative"), found.triplets)
    edits = _edited(found, rng)
    _write(out / "overlap.parquet", ("sentence1", "sentence2", "score"), edits)
    more = _edited_questions(switched, translations, random.Random(seed + 5))
    _write(out / "overlap-questions.parquet", ("sentence1", "sentence2", "score"), more)
    chinese = [*found.chinese, *(zh for _, zh in translations)]
    spelt = [*english, *(en for en, _ in translations)]
    pieces = vocabulary.pieces(_tokenizer(), spelt, chinese, texts.variants())
    _write_lines(out / "vocab.txt", pieces)
    chosen = vocabulary.words(
        {name: [zh for _, zh in pairs] for name, pairs in parallel.items()},
        {"switched": [zh for _, zh in switched], "chinese": found.chinese[:N_CHINESE]},
        WORD_WEIGHTS,
    )
    _write_lines(out / "words.txt", chosen)
    _write_apart(out / "pairs-apart.parquet", rows, chosen, seed)
    asked = _asked(out, share, seed, rows, chosen, found.triplets, [*edits, *more])
    counts = {
        "english": len(english),
        **{name: len(pairs) for name, pairs in parallel.items()},
        "switched": len(switched),
        "triplets": len(found.triplets),
        "edited": len(edits),
        "edited questions": len(more),
        **asked,
        "pieces": len(pieces),
        "words": len(chosen),
    }
    return _record(out, seed, share, counts)


def _asked(
    out: Path,
    share: float,
    seed: int,
    rows: Sequence[texts.Pair],
    words: Sequence[str],
    triplets: Sequence[tuple[str, str, str]],
    edits: Sequence[overlap.Row],
) -> dict[str, int]:
    """Write what is learnt of a desk's questions, each beside what was learnt before; counts."""
    book, rng = phrasebook.read(), random.Random(seed + 13)
    asked = book.translations(int(N_ASKED * share), rng, share)
    told_apart = book.triplets(int(N_ASKED_TRIPLETS * share), rng)
    ranked = book.scored(int(N_ASKED_PAIRS * share), rng)
    _write_apart(out / "pairs-asked.parquet", [*rows, *asked], words, seed)
    three = ("anchor", "positive", "negative")
    _write(out / "triplets-asked.parquet", three, [*triplets, *told_apart])
    _write(out / "overlap-asked.parquet", ("sentence1", "sentence2", "score"), [*ranked, *edits])
    wordings = sayings.read()
    learnt = wordings.part(held_out=False).some(share)
    said = learnt.translations(SAID_TIMES)
    said_apart = learnt.triplets(int(N_SAID_TRIPLETS * share), random.Random(seed + 17))
    _write_apart(out / "pairs-said.parquet", [*rows, *asked, *said], words, seed)
    _write(out / "triplets-said.parquet", three, [*triplets, *told_apart, *said_apart])
    to_develop_with = wordings.part(held_out=True).in_chinese()
    _write(out / "dev-sayings.parquet", ("anchor", "positive"), to_develop_with)
    return {
        "asked": len(asked),
        "asked triplets": len(told_apart),
        "asked pairs": len(ranked),
        "said": len(said),
        "said triplets": len(said_apart),
    }


def _switched(found: texts.Texts, words: lexicon.Lexicon, rng: random.Random) -> list[texts.Pair]:
    """Questions twice, all in Chinese and most of it; other sentences with two words of three."""
    short = [text for text in found.english if 25 < len(text) <= 90]
    other = rng.sample(short, min(N_SWITCHED, len(short)))
    wanted = [
        *((text, 1.0) for text in found.questions),
        *((text, 0.85) for text in found.questions),
        *((text, 0.7) for text in other),
    ]
    rows = [
        (text, texts.simplified(lexicon.switched(text, words, share, rng)))
        for text, share in wanted
    ]
    return [row for row in rows if lexicon.has_chinese(row[1])]


def _edited(found: texts.Texts, rng: random.Random) -> list[overlap.Row]:
    everyday = [zh for _, zh in [*found.tatoeba, *found.captions]]
    short = [text for text in [*everyday, *found.chinese] if 4 <= len(text) <= LONGEST_EDITED]
    return overlap.edited(rng.sample(short, min(N_EDITED, len(short))), rng)


def _edited_questions(
    switched: Sequence[texts.Pair], translations: Sequence[texts.Pair], rng: random.Random
) -> list[overlap.Row]:
    """Half of them questions that are mostly Chinese, half translations."""
    asked = [zh for _, zh in switched if vocabulary.share_of_chinese(zh) >= LEAST_CHINESE]
    rows: list[str] = []
    for source in (asked, [zh for _, zh in translations]):
        short = [text for text in source if 4 <= len(text) <= LONGEST_EDITED]
        rows += rng.sample(short, min(N_EDITED // 2, len(short)))
    return overlap.edited(rows, rng)


def _write_apart(path: Path, rows: Sequence[texts.Pair], words: Sequence[str], seed: int) -> None:
    """The pairs, with words of the Chinese ones now and then taken apart."""
    anchors, positives = zip(*rows, strict=True)
    split = apart.taken_apart(positives, set(words), random.Random(seed + 11))
    _write(path, ("anchor", "positive"), list(zip(anchors, split, strict=True)))


def _tokenizer() -> object:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(resolve(TEACHER) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    values = zip(*rows, strict=True)
    table = pa.table({name: list(column) for name, column in zip(columns, values, strict=True)})
    parquet.write_table(table, path, compression="zstd")
    logger.info("%s: %s rows", path.name, f"{len(rows):,}")


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _record(out: Path, seed: int, share: float, counts: dict[str, int]) -> dict[str, object]:
    """Checksums of the content, not of the files: Parquet's bytes hang on its writer."""
    content = {}
    for path in sorted(out.glob("*.parquet")):
        rows = json.dumps(parquet.read_table(path).to_pylist(), ensure_ascii=False)
        content[path.name] = hashlib.sha256(rows.encode()).hexdigest()
    for path in sorted(out.glob("*.txt")):
        content[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    record: dict[str, object] = {"seed": seed, "share": share, "rows": counts, "sha256": content}
    (out / "tables.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


if __name__ == "__main__":
    main()
