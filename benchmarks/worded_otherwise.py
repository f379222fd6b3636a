"""A bank whose users word things otherwise than its phrasings do: clinc150, asked by hwu64.

Both are questions to an assistant, written by different people for different tasks. Of clinc150 are
the standard questions that one intent of hwu64 means, and others of its domains of banking and
cars, which hwu64 has nothing on. Queries are texts of hwu64: of those intents, and as many of
intents on which the bank has nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet

from semsearch.evaluation.queries import LabelledQuery
from semsearch.types import StandardQuestion

MEANS = {
    "alarm_set": "alarm",
    "audio_volume_down": "change_volume",
    "audio_volume_mute": "change_volume",
    "audio_volume_up": "change_volume",
    "calendar_query": "calendar",
    "calendar_set": "calendar_update",
    "cooking_recipe": "recipe",
    "general_joke": "tell_joke",
    "general_repeat": "repeat",
    "iot_cleaning": "smart_home",
    "iot_hue_lightchange": "smart_home",
    "iot_hue_lightdim": "smart_home",
    "iot_hue_lightoff": "smart_home",
    "iot_hue_lighton": "smart_home",
    "iot_hue_lightup": "smart_home",
    "iot_wemo_off": "smart_home",
    "iot_wemo_on": "smart_home",
    "lists_createoradd": "todo_list_update",
    "lists_query": "todo_list",
    "lists_remove": "todo_list_update",
    "music_query": "what_song",
    "play_music": "play_music",
    "qa_currency": "exchange_rate",
    "qa_definition": "definition",
    "qa_maths": "calculator",
    "recommendation_locations": "restaurant_suggestion",
    "transport_query": "directions",
    "transport_taxi": "uber",
    "transport_traffic": "traffic",
    "weather_query": "weather",
}
"""Intents of hwu64 to the one of clinc150 that answers them."""

NOTHING_ON = (
    "email_addcontact", "email_query", "email_querycontact", "email_sendemail", "music_likeness",
    "music_settings", "news_query", "play_audiobook", "play_game", "play_podcasts", "play_radio",
    "qa_stock", "recommendation_events", "recommendation_movies", "social_post", "social_query",
)  # fmt: skip
"""Intents of hwu64 that no standard question of the bank answers."""

OTHERS = (
    "apr", "bill_due", "card_declined", "gas_type", "oil_change_how", "order_checks", "pin_change",
    "report_fraud", "rewards_balance", "routing", "tire_pressure", "transactions",
)  # fmt: skip
"""Of clinc150, on topics that hwu64 does not have."""

PHRASINGS, QUERIES = 15, 30
SEED = 0


def load(root: Path) -> tuple[list[StandardQuestion], list[LabelledQuery]]:
    """The bank, and what it is asked: as many queries without an answer as with one.

    Args:
        root: the folder of both.
    """
    random = np.random.default_rng(SEED)

    def drawn(texts: list[str], n: int) -> list[str]:
        return [texts[place] for place in random.permutation(len(texts))[:n]]

    known, phrasings = _rows(root / "clinc150", "train")
    _, asked = _rows(root / "hwu64", "train", "test")
    questions = [
        StandardQuestion(name, known[name], phrasings=tuple(drawn(phrasings[name], PHRASINGS)))
        for name in sorted({*MEANS.values(), *OTHERS})
    ]
    answered = [
        LabelledQuery(text, key)
        for name, key in MEANS.items()
        for text in drawn(asked[name], QUERIES)
    ]
    unanswered = [text for name in NOTHING_ON for text in asked[name]]
    return questions, answered + [LabelledQuery(t, None) for t in drawn(unanswered, len(answered))]


def _rows(folder: Path, *parts: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The question of each intent, and its texts."""

    def read(part: str) -> list[dict[str, Any]]:
        return list(parquet.read_table(folder / f"{part}.parquet").to_pylist())

    bank = {row["id"]: row for row in read("bank")}
    texts: dict[str, list[str]] = {row["intent"]: [] for row in bank.values()}
    for part in parts:
        for row in read(part):
            texts[bank[row["question_id"]]["intent"]].append(row["text"])
    return {row["intent"]: row["question"] for row in bank.values()}, texts
