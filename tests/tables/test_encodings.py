"""Whatever the encoding, the text is right or the file is refused."""

from __future__ import annotations

import codecs

import pytest

from semsearch.errors import DataError
from semsearch.tables.encodings import decode
from semsearch.tables.plausibility import plausibility

SIMPLIFIED = [
    "如何修改登录密码？",
    "信用卡逾期了怎么办",
    "我的快递到哪里了，为什么还没有发货？",
    "请问怎么申请退款，大概需要多长时间到账",
]
TRADITIONAL = [
    "如何變更網路銀行的登入密碼？",
    "信用卡遺失了該怎麼辦",
    "請問貸款的利率是多少，需要準備哪些文件？",
    "我的帳戶為什麼被凍結了",
]
EUROPEAN = [
    "Wie kann ich meine Überweisung stornieren?",
    "J'ai été débité deux fois, où est mon remboursement ?",
    "¿Cómo puedo cambiar mi contraseña?",
    "Não recebi o cartão, é possível pedir outro?",
    "It’s “free” — or is it €5?",
    "¡Último aviso! ¡Única oferta!",
    "Set it to 10 °C ± 1",
    "½ cup × 2",
]
SIGNS = [
    "Settings → Security → Password, then press “OK”",
    "Press ① then ②",
    "5 ± 1 ℃",
    "if a ≥ b",
    "★ rated",
    "№ 5 × 2",
]
HEADERS = ["question,answer\n", "问题;答案\n", "id\tquestion\n"]


@pytest.mark.parametrize("repeat", [1, 400])
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("text", SIMPLIFIED)
@pytest.mark.parametrize("codec", ["gbk", "gb18030", "utf-8", "utf-16-le", "utf-16-be"])
def test_simplified_chinese_is_recognised(codec: str, text: str, header: str, repeat: int) -> None:
    table = header + (text + ",x\n") * repeat
    decoded = decode(table.encode(codec), "bank.csv")
    assert decoded.text == table
    assert decoded.encoding == {"gbk": "gb18030"}.get(codec, codec)


@pytest.mark.parametrize("repeat", [1, 400])
@pytest.mark.parametrize("text", TRADITIONAL)
@pytest.mark.parametrize("codec", ["big5", "cp950", "gb18030", "utf-8", "utf-16-le", "utf-16-be"])
def test_traditional_chinese_is_recognised(codec: str, text: str, repeat: int) -> None:
    table = "question,answer\n" + (text + ",x\n") * repeat
    decoded = decode(table.encode(codec), "bank.csv")
    assert decoded.text == table
    assert decoded.encoding == {"cp950": "big5"}.get(codec, codec)


def test_windows_big5_keeps_its_own_signs() -> None:
    table = "問題,答案\n營業時間是什麼時候？,週一到週五 9:00～17:00，約翰‧史密斯\n"
    decoded = decode(table.encode("cp950"), "bank.csv")
    assert (decoded.text, decoded.encoding) == (table, "cp950")


@pytest.mark.parametrize("repeat", [1, 400])
@pytest.mark.parametrize("text", SIGNS)
def test_english_with_the_signs_of_a_chinese_keyboard_is_recognised(text: str, repeat: int) -> None:
    table = "question,answer\n" + (text + ",x\n") * repeat
    decoded = decode(table.encode("gbk"), "bank.csv")
    assert (decoded.text, decoded.encoding) == (table, "gb18030")


def test_hong_kong_big5_is_recognised() -> None:
    table = "問題,答案\n佢哋喺邊度？我哋嘅賬戶點解被凍結咗,請聯絡客戶服務部\n"
    assert decode(table.encode("big5hkscs"), "bank.csv").text == table


@pytest.mark.parametrize("repeat", [1, 400])
@pytest.mark.parametrize("text", EUROPEAN)
def test_western_european_text_is_recognised(text: str, repeat: int) -> None:
    table = "question,answer\n" + (text + ",x\n") * repeat
    decoded = decode(table.encode("cp1252"), "bank.csv")
    assert (decoded.text, decoded.encoding) == (table, "cp1252")


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("cp932", "パスワードを変更するにはどうすればよいですか？カードが届きません。"),
        ("cp949", "비밀번호를 변경하려면 어떻게 해야 하나요?"),
        ("cp1251", "Где моя карта? Перевод не пришёл на счёт."),
    ],
)
def test_other_encodings_are_left_to_charset_normalizer(codec: str, text: str) -> None:
    table = f"question,answer\n{text},x\n"
    assert decode(table.encode(codec), "bank.csv").text == table


@pytest.mark.parametrize("text", ["question\nplain\n", "问题\n怎么办\n", "question\n😀 עברית\n"])
@pytest.mark.parametrize(
    ("codec", "mark", "name"),
    [
        ("utf-8", codecs.BOM_UTF8, "utf-8-sig"),
        ("utf-16-le", codecs.BOM_UTF16_LE, "utf-16"),
        ("utf-16-be", codecs.BOM_UTF16_BE, "utf-16"),
        ("utf-32-le", codecs.BOM_UTF32_LE, "utf-32"),
    ],
)
def test_a_byte_order_mark_decides(codec: str, mark: bytes, name: str, text: str) -> None:
    decoded = decode(mark + text.encode(codec), "bank.csv")
    assert (decoded.text, decoded.encoding) == (text, name)


def test_the_whole_file_decides() -> None:
    """A hundred thousand lines of ASCII say nothing about the last one."""
    table = "question\n" + "plain\n" * 100_000 + "怎么修改密码\n"
    assert decode(table.encode("gbk"), "bank.csv").text == table


def test_an_explicit_encoding_overrides_detection() -> None:
    data = "问题\n怎么办\n".encode("gbk")
    assert decode(data, "bank.csv", "latin-1").text == data.decode("latin-1")
    assert decode(data, "bank.csv", "GBK").text == "问题\n怎么办\n"


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf-8-sig"])
def test_an_explicit_utf_8_drops_the_mark(encoding: str) -> None:
    assert decode(codecs.BOM_UTF8 + b"q\na\n", "bank.csv", encoding).text == "q\na\n"


@pytest.mark.parametrize("encoding", ["klingon", "hex", "rot13", "", "utf\0", "undefined"])
def test_an_unknown_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(DataError, match="encoding"):
        decode(b"question\nx\n", "bank.csv", encoding)


@pytest.mark.parametrize(
    ("encoding", "data", "offset"),
    [
        ("utf-8", b"question\nab\xffcd\n", 11),
        ("utf-8", codecs.BOM_UTF8 + b"question\nab\xffcd\n", 14),
        ("ascii", "question\ncafé\n".encode(), 12),
        ("gbk", b"question\n\xff\n", 9),
        ("utf-16", codecs.BOM_UTF16_LE + b"q\0\x00\xd8b\0", 4),
        ("utf-16-le", b"q\0\x00\xd8b\0", 2),
    ],
)
def test_a_byte_that_does_not_fit_the_given_encoding_is_named(
    encoding: str, data: bytes, offset: int
) -> None:
    with pytest.raises(DataError, match=rf"bank\.csv: byte offset {offset} .*--encoding"):
        decode(data, "bank.csv", encoding)


@pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
@pytest.mark.parametrize("rows", [3, 3000])
def test_one_damaged_byte_is_named_not_worked_around(codec: str, rows: int) -> None:
    """A file that is nearly all UTF-8 or GB18030 is not read as something else."""
    before = ("问题,答案\n" + "怎么修改登录密码,请点击设置\n" * rows).encode(codec)
    data = before + b"\xff\xff" + "信用卡怎么还款,自动还款\n".encode(codec)
    with pytest.raises(DataError, match=f"byte offset {len(before)} does not fit {codec}"):
        decode(data, "bank.csv")


def test_a_file_cut_within_a_character_is_refused() -> None:
    data = "question\n怎么修改登录密码".encode()[:-1]
    with pytest.raises(DataError, match=f"byte offset {len(data) - 2} does not fit utf-8"):
        decode(data, "bank.csv")


def test_two_encodings_in_one_file_are_refused() -> None:
    data = "怎么修改登录密码\n".encode() * 20 + "怎么修改登录密码\n".encode("gbk")
    with pytest.raises(DataError, match="byte offset 500 does not fit utf-8"):
        decode(data, "bank.csv")


def test_noise_is_refused() -> None:
    with pytest.raises(DataError, match="byte offset 127 does not fit utf-8, and nothing else"):
        decode(bytes(range(1, 256)) * 3, "bank.csv")


def test_ascii_with_a_few_nul_bytes_stays_text() -> None:
    """NUL bytes make rows bad; they do not make a file UTF-16."""
    data = b"question,answer\nHow do I pay?,\0By card\nWhere is it?,Here\n"
    assert decode(data, "bank.csv").text == data.decode()


def test_plausibility_tells_right_from_wrong() -> None:
    for text in SIMPLIFIED:
        assert plausibility(text) > 0.8
        wrong = text.encode("gb18030").decode("big5", "replace")
        assert plausibility(wrong) < 0.5
