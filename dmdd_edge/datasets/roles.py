"""What a folder's name says about the images in it."""

from __future__ import annotations

import re
import unicodedata
from enum import Enum


class Role(Enum):
    """What a folder's name stands for.

    GROUP is a folder that only groups or wraps (a day, a batch, ``images``) and says nothing about the
    parts; OTHER is every name that is not known.
    """

    TRAIN = "train"
    TEST = "test"
    VALIDATION = "validation"
    GOOD = "good"
    BAD = "bad"
    TRUTH = "masks"
    JUNK = "junk"
    GROUP = "group"
    OTHER = "other"


#: Roles of the splits.
SPLITS = (Role.TRAIN, Role.TEST, Role.VALIDATION)

_GOOD = """good goods ok okay normal normals pass passed gut io i_o in_ordnung bon bueno buono healthy intact
undamaged flawless golden defect_free defectfree no_defect no_defects nodefect non_defective nondefective
not_defective anomaly_free no_anomaly"""
_BAD = """bad ng n_g nok n_ok not_ok notok ko k_o defect defects defective defectives anomaly anomalies
anomalous abnormal abnormals fail failed fails failure failures fault faults faulty reject rejects rejected
scrap damaged damage broken nio n_i_o schlecht ausschuss fehler not_good no_good nogood not_normal"""
_TRUTH = """ground_truth groundtruth ground_truths truth gt mask masks label labels annotation annotations seg
segs segmentation segmentations"""
_WORDS = {
    Role.TRAIN: "train training trainset traindata",
    Role.TEST: "test tests testing testset testdata test_public test_private",
    Role.VALIDATION: "val valid validation validate eval",
    Role.GOOD: _GOOD,
    Role.BAD: _BAD,
    Role.TRUTH: _TRUTH,
}
_BY_NAME = {word: role for role, words in _WORDS.items() for word in words.split()}
_TRUTH_WORDS = frozenset(("ground", *_TRUTH.split()))
#: Words that add nothing to another one: "good images" is "good".
_FILLER = re.compile(r"images?|imgs?|pictures?|photos?|bild(er)?|parts?|samples?|set|data")
#: Folders that wrap images and say nothing about them.
_WRAPPER = re.compile(r"images?|imgs?|pictures?|photos?|bild(er)?|data|rgb")
_JUNK = re.compile(
    r"\..*|__macosx|@eadir|thumb(nail)?s?|[#@]recycle|\$recycle\.bin|lost\+found|__pycache__"
    r"|system volume information"
)
_GROUP = re.compile(
    r"(day|date|tag|week|kw|month|shift|schicht|batch|lot|charge|session|series|serie|run)_?\d+"
    r"|(19|20)\d\d(_?\d\d){1,2}([t_]?\d\d){0,3}"  # 2026-11-28, 20261128, 2026-11-28T09_10
    r"|\d{1,2}_\d{1,2}_(\d\d)?\d\d"  # 28.11.2026
    r"|(mon|tues|wednes|thurs|fri|satur|sun)day"
)


def role_of(name: str) -> Role:
    """What a folder of this name holds; case, separators and fillers ("good_images") do not matter."""
    lowered = plain(name)
    if _JUNK.fullmatch(lowered):
        return Role.JUNK
    words = [word for word in re.split(r"[\s_.-]+", lowered) if word]
    whole = "_".join(words)
    if whole in _BY_NAME:
        return _BY_NAME[whole]
    if _WRAPPER.fullmatch(whole) or _GROUP.fullmatch(whole):
        return Role.GROUP
    core = "_".join(word for word in words if not _FILLER.fullmatch(word))
    if core in _BY_NAME:
        return _BY_NAME[core]
    if words and all(word in _TRUTH_WORDS for word in words):
        return Role.TRUTH
    # good_2 and NG01 are good and bad; test1 may be anything.
    numbered = _BY_NAME.get(re.sub(r"_?\d+$", "", core))
    return numbered if numbered in (Role.GOOD, Role.BAD) else Role.OTHER


def is_wrapper(name: str) -> bool:
    """Whether a folder only wraps images (``images``, ``data``), so that masks need not repeat it."""
    return _WRAPPER.fullmatch(plain(name)) is not None


def plain(name: str) -> str:
    """A name as names are compared: composed characters (macOS stores them decomposed), no case."""
    return unicodedata.normalize("NFC", name).casefold()
