"""How many wordings of the held-out sayings find their standard question: accuracy@1, percent.

    python recipes/embedded/held_out.py ENCODER [ENCODER ...]

Of the topics that nothing is learnt from: Chinese wordings among Chinese standard questions,
English among English ones, Chinese among English ones.
"""

from __future__ import annotations

import argparse

import numpy as np
import sayings

from semsearch import Encoder

WAYS = {"zh": (True, True), "en": (False, False), "zh in en": (True, False)}
"""Whether the wording, and the standard question, are Chinese."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", nargs="+")
    held_out = sayings.read().part(held_out=True)
    for name in parser.parse_args().encoder:
        shares = found(Encoder.load(name), held_out)
        print(name, *(f"{way} {100 * share:.1f}" for way, share in shares.items()), sep="  ")


def found(encoder: Encoder, asked: sayings.Sayings) -> dict[str, float]:
    """Of each of `WAYS`, the share of the wordings whose nearest standard question is their own."""
    questions = [saying for topic in asked.topics for saying in topic]
    texts = list(dict.fromkeys(text for saying in questions for text in saying.wordings))
    vectors = dict(zip(texts, encoder.encode(texts), strict=True))
    shares = {}
    for way, (in_chinese, among_chinese) in WAYS.items():
        standard = np.stack([vectors[saying.ways(among_chinese)[0]] for saying in questions])
        skipped = 1 if in_chinese == among_chinese else 0
        own, wordings = zip(
            *(
                (number, wording)
                for number, saying in enumerate(questions)
                for wording in saying.ways(in_chinese)[skipped:]
            ),
            strict=True,
        )
        asking = np.stack([vectors[wording] for wording in wordings])
        nearest = (asking @ standard.T).argmax(axis=1)
        shares[way] = float(np.mean(nearest == np.array(own)))
    return shares


if __name__ == "__main__":
    main()
