"""What a folder's name says about the images in it."""

from __future__ import annotations

import re
import unicodedata
from enum import Enum
from functools import lru_cache


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
not_defective anomaly_free no_anomaly fehlerfrei defektfrei
bonne bonnes bons conforme conformes sain buena buenas buenos aprobado aprobados sin_defecto sin_defectos
buona buone buoni conformi idoneo idonei aprovado aprovados sem_defeito goed goedgekeurd dobre dobry dobra
dobrze vyhovujici iyi saglam hatasiz
хорошие хороший годные годный норма 良品 良 合格 合格品 正常 正常品 良好 無缺陷 无缺陷 양품 정상 합격 良い"""
_BAD = """bad ng n_g nok n_ok not_ok notok ko k_o defect defects defective defectives anomaly anomalies
anomalous abnormal abnormals fail failed fails failure failures fault faults faulty reject rejects rejected
scrap damaged damage broken nio n_i_o schlecht ausschuss fehler not_good no_good nogood not_normal
def fehlerhaft defekt defekte nicht_in_ordnung
mauvais mauvaise mauvaises defaut defauts defectueux non_conforme non_conformes rebut malo mala malos malas
defecto defectos defectuoso defectuosos rechazado rechazados difetto difetti difettoso difettosi scarto scarti
non_conformi ruim defeito defeitos defeituoso reprovado reprovados rejeitado fout slecht afgekeurd zle złe zly
zły wada wady wadliwe spatne vadne vadny hatali kotu bozuk
брак дефект дефекты плохие 不良 不良品 不合格 不合格品 异常 異常 異常品 缺陷 瑕疵 次品 欠陥
불량 불량품 결함 불합격 비정상"""
_TRUTH = """ground_truth groundtruth ground_truths truth gt mask masks label labels annotation annotations seg
segs segmentation segmentations"""
_WORDS = {
    Role.TRAIN: "train training trainset traindata 训练 訓練 训练集 学習",
    Role.TEST: "test tests testing testset testdata test_public test_private 测试 測試 测试集",
    Role.VALIDATION: "val valid validation validate eval",
    Role.GOOD: _GOOD,
    Role.BAD: _BAD,
    Role.TRUTH: _TRUTH,
}
_BY_NAME = {
    unicodedata.normalize("NFKC", word): role for role, words in _WORDS.items() for word in words.split()
}
_TRUTH_WORDS = frozenset(("ground", *_TRUTH.split()))
_IMAGES = "|".join(f"{word}s?" for word in ("image", "img", "picture", "photo"))
#: Words that add nothing to another one: "good images" is "good".
_FILLER = re.compile(rf"{_IMAGES}|bild(er)?|teile?|parts?|samples?|set|data")
#: Words that turn the next one into its opposite, or leave it open.
_DOUBT = frozenset(("not", "no", "non", "un", "nearly", "almost", "with", "without", "nicht", "less", "free"))
#: What tells a folder of masks from the folder it belongs to: ``scratch_mask``, ``test_masks``.
_MASK_AFFIX = re.compile(
    r"^(?:masks?|gt|ground_?truths?)[\s_.-]+|[\s_.-]+(?:masks?|gt|ground_?truths?)$", re.IGNORECASE
)
#: Folders that wrap images and say nothing about them.
_WRAPPER = re.compile(rf"{_IMAGES}|bild(er)?|data|rgb")
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


@lru_cache(maxsize=4096)
def role_of(name: str) -> Role:
    """What a folder of this name holds; case, accents, separators and fillers ("good_images") do not matter.

    A name that says a split and what is in it ("train_good", "NG-test") has the split's role.
    """
    lowered = plain(name)
    if _JUNK.fullmatch(lowered):
        return Role.JUNK
    if _GROUP.fullmatch("_".join(re.split(r"[\s_.-]+", lowered))):
        return Role.GROUP
    parts = names_of(name)
    return _role(_words(parts[0])) if len(parts) > 1 else _role(_words(name))


@lru_cache(maxsize=4096)
def names_of(name: str) -> tuple[str, ...]:
    """The names of the folders that a name stands for: ``train_good`` is ``train/good``; mostly itself."""
    words = _words(name)
    for split, rest in (((words[:1]), words[1:]), (words[-1:], words[:-1])):
        if rest and _role(split) in SPLITS and _role(words) is Role.OTHER:
            inner = _role(rest)
            if inner in (Role.GOOD, Role.BAD):
                return split[0], "_".join(rest)
            if inner is Role.TRUTH:
                return "_".join(rest), split[0]
    return (name,)


def _role(words: tuple[str, ...]) -> Role:
    whole = "_".join(words)
    if whole in _BY_NAME:
        return _BY_NAME[whole]
    if _WRAPPER.fullmatch(whole):
        return Role.GROUP
    core = "_".join(word for word in words if not _FILLER.fullmatch(word))
    if core in _BY_NAME:
        return _BY_NAME[core]
    if words and all(word in _TRUTH_WORDS for word in words):
        return Role.TRUTH
    # good_2 and NG01 are good and bad; test1 may be anything.
    numbered = _BY_NAME.get(re.sub(r"_?\d+$", "", core))
    return numbered if numbered in (Role.GOOD, Role.BAD) else Role.OTHER


@lru_cache(maxsize=4096)
def view_role(name: str) -> Role:
    """GOOD or BAD where one of two words says so and the other names the view: ``ok_front``; else OTHER.

    For the folders of a split alone: elsewhere ``ok_button`` is a part.
    """
    words = [word for word in _words(name) if not _FILLER.fullmatch(word) and not word.isdigit()]
    if len(words) != 2 or _DOUBT & set(words):
        return Role.OTHER
    named = {_role((word,)) for word in words} - {Role.OTHER}
    if named == {Role.GOOD}:
        return Role.GOOD
    return Role.BAD if named == {Role.BAD} else Role.OTHER


def file_role(stem: str) -> tuple[Role, str]:
    """What a file's name says of its part by its first or last words: GOOD, BAD or OTHER, and these words."""
    words = [re.sub(r"\d+$", "", word) or "0" for word in _words(stem)]
    ends = [word for word in words if not word.isdigit()]
    for length in (3, 2, 1):
        found: dict[Role | None, str] = {}
        for some in (ends[:length], ends[-length:]) if len(ends) >= length else ():
            found[_BY_NAME.get("_".join(some))] = "_".join(some)
        for role in (Role.BAD, Role.GOOD):
            if role in found:
                return role, found[role]
    return Role.OTHER, ""


def masked_name(name: str) -> str | None:
    """The name of the folder whose masks a folder holds by its name (``scratch_mask``: scratch), or None."""
    rest = _MASK_AFFIX.sub("", name, count=1)
    return rest if rest and rest != name else None


def _words(name: str) -> tuple[str, ...]:
    """A name's words without case and accents: ``GoodParts_2`` is good, parts, 2."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name)
    bare = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", parted.casefold())
        if not unicodedata.combining(letter)
    )
    return tuple(word for word in re.split(r"[\s_.-]+", unicodedata.normalize("NFKC", bare)) if word)


def is_wrapper(name: str) -> bool:
    """Whether a folder only wraps images (``images``, ``data``), so that masks need not repeat it."""
    return _WRAPPER.fullmatch(plain(name)) is not None


def plain(name: str) -> str:
    """A name as names are compared: composed characters (macOS stores them decomposed), no case."""
    return unicodedata.normalize("NFC", name).casefold()
