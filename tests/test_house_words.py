"""The language of the house: plain American engineering English in whatever a person reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from tests.house_text import CODE, Text, code_files, error_texts, page_texts, prose, texts_of

_UNITS = (
    "frames|images|lines?|seconds|milliseconds|ms|bytes|MB|GB|KB|steps|requests|messages|parts|pixels|"
    "pictures|results|pages|tiles|scores|passes|rows"
)
_THINGS = (
    "frame|image|second|minute|hour|day|step|batch|part|run|pixel|message|line|file|category|thread|slot|row"
)
#: Phrases that stop a reader whose third language is English, and what to write instead.
BANNED = {
    r"\banew\b": "again, or a verb with re-",
    r"\bbe had\b": "be available",
    r"\bso many\b": "the number itself",
    r"(?<!\bthere )\bis no (?!longer\b|more\b|less\b|fewer\b|larger\b|smaller\b)": "is not a",
    r"\b(there (is|are)|has|have|had) none\b": "no X",
    r"\blies?\b": "is, are",
    r"\b(give|gives|giving|gave|given)( \w+)? back\b": "release, return",
    r"\b(hold|holds|holding|held)( \w+){0,5} against\b": "compare with, check against",
    rf"\b({_UNITS}) an? ({_THINGS})\b": "per",
    r"\bstands? in\b(?! for)": "is in",
    r"\b(goes|go|going|went) on\b": "continue, resume",
    r"\bof (its|their) own\b": "its own X, a separate X",
    r"\b(was|is|are|were) said\b": "report, print",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\b(take|takes|took) (no|none)\b": "does not accept",
    r"\bjudg(e|es|ing)\b": "infer, evaluate, check, decide",
    r"\bpictures?\b": "image",
    r"\b(is|are|was|were) away\b": "is missing",
    r"\btold\b": "report, give",
    r"\basked for\b": "requested",
    r"\botherwise than\b": "differently from",
    r"\bnothing that\b": "not something that",
    r"\bback ends?\b": "backend",
}
_STEMS = (
    "categor|character|custom|emphas|equal|general|initial|local|maxim|minim|normal|optim|organ|parallel|quant|"
    "random|real|recogn|serial|special|stabil|standard|summar|synchron|token|util|vector|visual"
)
#: British spellings, and the American ones.
BRITISH = {
    r"\w*colour\w*": "color",
    r"\w*grey\w*": "gray",
    r"\bbehaviour\w*": "behavior",
    r"\b(neighb|fav)our\w*": "neighbor, favor",
    r"\w*licence\w*": "license",
    r"\bcentr(e|es|ed)\b": "center",
    r"\b(kilo|centi|milli)?metres?\b": "meter",
    r"\bartefacts?\b": "artifact",
    r"\bcatalogue\w*": "catalog",
    r"\bjudgement\w*": "judgment",
    r"\banalys(e|ed|ing)\b": "analyze",
    r"\b(cancel|label|model|signal|travel)l(ed|ing)\b": "one l",
    rf"\b\w*({_STEMS})i?s(e|es|ed|er|ers|ing|ations?)\b": "-ize",
}
#: Texts that stay: fields of files and lines that the formats fix, and the names that libraries give.
#: The name of a command is one too, where it is pasted with the program's.
FIXED = re.compile(r"\blicences\b|\bcolour:|IMREAD_GREY\w*|pictures\?|\bdmdd-edge judge\b")
#: What a fix may end with instead of a full stop: a command or an option, which are pasted, or a sentence
#: from elsewhere, which has its own.
PASTED = re.compile(
    r"(^|: )(--|(dmdd-edge|pip|sudo|docker|nvidia-smi|chmod|rm|export|python|git|find|apt-get)\b)[^:]*$"
    r"|(^|[.:] |\})\{\}$"
)
#: A message may list what is wrong line by line.
LISTED = re.compile(r":\n\{\}$")


def readable(texts: Iterable[Text]) -> Iterator[Text]:
    """The texts as prose, without single names, such as the keys of a table."""
    return (
        Text(text.where, FIXED.sub(" ", prose(text.words))) for text in texts if not text.words.isidentifier()
    )


def findings(texts: Iterable[Text], rules: dict[str, str]) -> Iterator[str]:
    """Each place where a rule matches prose, with what to write instead."""
    # Without what may be around a stem, which would be tried again at each letter of each word.
    stems = (re.sub(r"^(\\b)?\\w\*|\\w\*$", "", rule) for rule in rules)
    any_rule = re.compile("|".join(stems), re.IGNORECASE)
    for text in texts:
        words = text.words
        if not any_rule.search(words):
            continue
        for pattern, better in rules.items():
            for match in re.finditer(pattern, words, re.IGNORECASE):
                part = words[max(match.start() - 30, 0) : match.end() + 30].strip()
                yield f"{text.where}: {match[0]!r} -> {better} ({part})"


def unfinished(path: Path) -> Iterator[str]:
    """Messages and fixes of a file that are no sentence: no full stop, or a fix without a capital letter."""
    for where, words, is_fix in error_texts(path):
        pasted = is_fix and PASTED.search(words)
        ended = re.search(r"\.[)'\"`]*$", words) or pasted or LISTED.search(words)
        if not ended:
            yield f"{where}: no full stop: {words}"
        if is_fix and words[0].islower() and not pasted:
            yield f"{where}: no capital letter: {words}"


@cache
def every_text() -> tuple[Text, ...]:
    texts = chain.from_iterable(texts_of(path) for path in code_files(*CODE))
    return tuple(readable(chain(texts, page_texts())))


def test_no_banned_phrase_is_used() -> None:
    assert list(findings(every_text(), BANNED)) == []


def test_the_spelling_is_american() -> None:
    assert list(findings(every_text(), BRITISH)) == []


def test_messages_and_fixes_are_sentences() -> None:
    assert [line for path in code_files(*CODE) for line in unfinished(path)] == []


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("Build the engine anew.", 1),
        ("The mask is no image.", 1),
        ("There is no image, and it is no longer needed.", 0),
        ("It holds the graph against the model.", 1),
        ("30 frames a second", 1),
        ("It stands in for the GPU; it stands in the way.", 1),
        ("The file lies beside it, nothing that matters.", 2),
        ("See ``picture`` and `back end` in /tmp/pictures/a.png, --so-many, judge_all.", 0),
        ("One frame per second, once a day, is a plain result.", 0),
        ("picture", 0),
    ],
)
def test_the_check_itself_finds_phrases(words: str, number: int) -> None:
    assert len(list(findings(readable([Text("here:1", words)]), BANNED))) == number


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("a normalised grey image", 2),
        ("the licences of the weights", 0),
        ("Otherwise it is precise, wise and likewise advised.", 0),
        ("the colour_order field, initialisation, serialise", 2),
        ("a normalized gray image, analyses, metrics", 0),
    ],
)
def test_the_check_itself_finds_spellings(words: str, wrong: int) -> None:
    assert len(list(findings(readable([Text("here:1", words)]), BRITISH))) == wrong


SAMPLE = '''
class LostError(DmddError):
    """None of the package's."""

def check(value, path):
    raise DmddError("no stop", fix="lower case.")
    raise DmddError(f"The value is {value}.", fix=f"Run: dmdd-edge train --data {path}")
    raise LostError("A text" if value else f"{path}.", "Whole " + "sentence.")
    raise OSError("none of ours", fix="Not finished")
    raise OSError("none of ours")
'''


def test_the_check_itself_finds_unfinished_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.house_text.ROOT", tmp_path)
    monkeypatch.setattr("tests.house_text.error_names", lambda: {"DmddError", "LostError"})
    (tmp_path / "sample.py").write_text(SAMPLE)
    assert list(unfinished(tmp_path / "sample.py")) == [
        "sample.py:6: no full stop: no stop",
        "sample.py:6: no capital letter: lower case.",
        "sample.py:8: no full stop: A text",
        "sample.py:9: no full stop: none of ours",
        "sample.py:9: no full stop: Not finished",
    ]
