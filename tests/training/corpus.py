"""Plain text to pre-train on, made up so that some words can be guessed from others."""

from __future__ import annotations

import numpy as np

_ITEMS = ["parcel", "refund", "password", "invoice", "account", "delivery", "payment", "voucher"]
_VERBS = ["track", "request", "reset", "download", "close", "reschedule", "cancel", "redeem"]
_PLACES = ["website", "mailbox", "counter", "warehouse"]
_CHINESE = ["我们的订单还没有发货。", "怎么申请退款？", "请修改收货地址。", "银行卡丢失了怎么办？"]


def made_corpus(n: int, seed: int = 0) -> list[str]:
    """n different paragraphs of two or three sentences; an item always goes with its verb."""
    random = np.random.default_rng(seed)
    texts = []
    for number in range(n):
        sentences = []
        for _ in range(int(random.integers(2, 4))):
            item = int(random.integers(len(_ITEMS)))
            place = _PLACES[int(random.integers(len(_PLACES)))]
            sentences.append(f"You can {_VERBS[item]} the {_ITEMS[item]} at the {place}.")
        texts.append(f"Case {number}. " + " ".join(sentences))
    return texts


def made_chinese(n: int, seed: int = 0) -> list[str]:
    """n different paragraphs in Chinese."""
    random = np.random.default_rng(seed)
    return [
        f"第{number}条：" + "".join(_CHINESE[i] for i in random.permutation(len(_CHINESE))[:3])
        for number in range(n)
    ]
