"""Looping and garbled answers are caught, and no good answer is: code, lists, poems, tables, other languages."""

import random

import pytest

from data.prompts import load
from data.quality import Expectation, garbled, grade, loops, similarity
from target.answers import answer
from target.prose import garbled as garbled_tokens
from target.prose import looping, tokens_of

GOOD = {
    "prose": "Gravity pulls every apple towards the earth, and the earth towards every apple, if only by a little.",
    "one word": "Paris",
    "a number": "42",
    "a long number": "The number is 1" + "0" * 100,
    "a third": "1/3 = 0." + "3" * 80,
    "python": """def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a

def main() -> None:
    for n in range(10):
        print(n, fib(n))
    for n in range(10, 20):
        print(n, fib(n))
""",
    "c": """#include <stdio.h>
#include <string.h>
int main(void) {
    char dst[64]; const char *src = "xyz";
    strcpy(dst, src); strncpy(dst, src, 3); printf("%s\\n", dst);
    return strcmp(dst, src) == 0 ? 0 : 1;
}""",
    "assembly": "mov rax, rbx\nmov rcx, rdx\nxor rdx, rdx\ncmp rcx, rbx\njmp next\npush rbp\nret",
    "html": "<html><head><title>Hi</title></head><body><ul>" + "<li>item</li>" * 3 + "</ul></body></html>",
    "json": '{"host": "a.example", "port": 8080, "tags": ["x", "y", "z"], "html": "<p>text</p>", "xpath": "//h1"}',
    "numbered list": "\n".join(f"{i}. Step {i}: turn the handle by {i * 10} degrees." for i in range(1, 13)),
    "numbers": ", ".join(map(str, range(1, 101))),
    "table": "| name | ok | late |\n| --- | --- | --- |\n" + "\n".join(f"| row{i} | yes | no |" for i in range(8)),
    "rule": "Title\n" + "-" * 60,
    "protocols": "HTTP, HTTPS, SMTP, SNMP, DHCP, SFTP, NNTP and RTSP are protocols.",
    "poem": """Row, row, row your boat,
Gently down the stream,
Merrily, merrily, merrily, merrily,
Life is but a dream.""",
    "refrain": """When I was young I went to sea,
  Blow the man down, bully, blow the man down,
And every wind was good to me,
  Give me some time to blow the man down.
The captain sang, the sails were white,
  Blow the man down, bully, blow the man down,
We sailed by day, we sailed by night,
  Give me some time to blow the man down.""",
    "german": "Rechtsschutzversicherungsgesellschaften prüfen Angstschweiß, Strumpf und Borschtsch; es schrumpft.",
    "czech": "Strč prst skrz krk! Vlk zmrzl, zhltl hrst zrn, a pak se šel podívat na dům u lesa.",
    "polish": "W Szczebrzeszynie chrząszcz brzmi w trzcinie i Szczebrzeszyn z tego słynie.",
    "welsh": "Mae'r gwynt yn chwythu'n gryf dros y mynydd, a'r glaw yn disgyn ar y cwm.",
    "french": "L'été dernier, nous étions à Noël-sur-Mer ; où êtes-vous allés ?",
    "russian": "Взгляд вдруг встретил всплеск: вскрыть, сжать, взвести. Гравитация притягивает тела.",
    "chinese": "重力是物体之间的吸引力。地球的重力使苹果落到地面，也使月亮绕着地球转。",
    "japanese": "重力とは、物体が互いに引き合う力です。Tシャツを着て、りんごを落としてみましょう。",
    "korean": "중력은 물체가 서로 끌어당기는 힘입니다. 사과는 땅으로 떨어집니다.",
    "arabic": "الجاذبية هي القوة التي تجذب الأجسام بعضها إلى بعض، مثل التفاحة والأرض.",
    "hebrew": "כוח המשיכה מושך כל תפוח אל האדמה, ואת הירח סביב כדור הארץ.",
    "hindi": "गुरुत्वाकर्षण वह बल है जो वस्तुओं को एक दूसरे की ओर खींचता है।",
    "thai": "แรงโน้มถ่วงดึงดูดวัตถุทุกชิ้นเข้าหากัน",
    "many scripts": "Hello, привет, مرحبا, שלום, नमस्ते, 안녕하세요, γειά σου, こんにちは, 你好!",
    "formula": "ΔG = ΔH − TΔS; v = λν; I = 5 μA, R = 10 kΩ, so U = 50 mV; ∫₀^∞ e^{−x} dx = 1.",
    "emoji": "Well done! 🎉🎉🎉 You get 👍👍 and a 🍰.",
    "hexadecimal": "sha1: 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12, md5: 9e107d9d372bb6826bd81d3542a4d6a8",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_is_no_false_alarm(name: str) -> None:
    assert not loops(GOOD[name])
    assert not garbled(GOOD[name])


@pytest.mark.parametrize("seed", range(5))
def test_no_answer_of_the_embedded_platform_is_a_false_alarm(seed: int) -> None:
    said = {prompt.id: answer(prompt.text, seed) for prompt in load("mixed")}
    assert [name for name, text in said.items() if loops(text) or garbled(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "the cat sat on " * 20,
        "no " * 30,
        "!" * 200,
        "我是一个模型，" * 12,
        "A good start, with many words that are all well chosen and make sense. " + "and then, " * 12,
        "First the answer.\n" + "I am sorry, I cannot. I am sorry, I cannot. " * 6,
        "The key is the key is the key is the key is the key is the key is the key is",
        "lalalalalalalalalalalalalalalalalalalalalalalalalala",
    ],
)
def test_a_loop_is_caught(text: str) -> None:
    assert loops(text)
    assert grade(Expectation(min_words=1), text) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "bkrt xcvbn mnbvc qwrtp zxcvb lkjhg dfghj",
        "The answer \ufffd\ufffd\ufffd is \ufffd\ufffd",
        "abc\x00\x01\x02def",
        "graвитy pullс evеryмир thеbook towаrdземля",
        "سلامhello worldмир тестtest строкаabc",
    ],
)
def test_broken_text_is_caught(text: str) -> None:
    assert garbled(text)
    assert grade(Expectation(min_words=1), text) == 0.0


def test_what_the_platform_breaks_is_named_where_there_is_enough_of_it() -> None:
    prose = [tokens for p in load("mixed") if len(tokens := tokens_of(answer(p.text, 1))[:48]) == 48]
    assert len(prose) >= 30
    assert all(loops("".join(looping(tokens))) for tokens in prose)
    assert all(garbled("".join(garbled_tokens(tokens, "p", 1))) for tokens in prose)


def test_the_text_of_every_language_stays_good_when_it_is_cut_anywhere() -> None:
    random_ = random.Random(1)
    for text in GOOD.values():
        for _ in range(20):
            cut = text[: random_.randrange(len(text)) + 1]
            assert not loops(cut), cut
            assert not garbled(cut), cut


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("a b c d", "a b c d", 1.0),
        ("a b  c\nd", "a b c d", 1.0),
        ("a b c d", "w x y z", 0.0),
        # Of 4 + 4 words 2 + 2 stand in both, in the same order.
        ("a b c d", "a x b y", 0.5),
        ("a b c d", "a b", 4 / 6),
        ("", "", 1.0),
        ("", "a", 0.0),
    ],
)
def test_similarity_is_the_share_of_words_in_common(one: str, other: str, alike: float) -> None:
    assert similarity(one, other) == pytest.approx(alike)
    assert similarity(other, one) == pytest.approx(alike)
