# ruff: noqa: RUF001
"""In which language a text is, where its script or its commonest words leave no doubt.

Cheap and sure instead of clever: a handful of scripts, a handful of words a language. What is in doubt is no language at all.
"""

from __future__ import annotations

import re
from collections import Counter

NAMES = {
    "ar": "Arabic", "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "fa": "Persian", "fr": "French", "he": "Hebrew",
    "hi": "Hindi", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese",
    "ru": "Russian", "sv": "Swedish", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "zh": "Chinese",
}  # fmt: skip
_SCRIPTS = (
    ("kana", re.compile(r"[\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d]")),
    ("han", re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")),
    ("ko", re.compile(r"[\uac00-\ud7a3\u1100-\u11ff]")),
    ("cyrillic", re.compile(r"[\u0400-\u04ff]")),
    ("arabic", re.compile(r"[\u0620-\u064a\u066e-\u06d3\ufb50-\ufdff\ufe70-\ufefc]")),
    ("hi", re.compile(r"[\u0900-\u0963]")),
    ("th", re.compile(r"[\u0e01-\u0e3a\u0e40-\u0e4e]")),
    ("he", re.compile(r"[\u05d0-\u05ea]")),
    ("el", re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]")),
    ("latin", re.compile(r"[A-Za-z\u00c0-\u024f]")),
)
_WEIGHTS = {"han": 2.5, "ko": 2.0, "kana": 1.5}
"""So many letters of an alphabet does one character stand for."""
_WORDS = {
    "en": "i the a an of to and in is are was were it that this for with from on as be not have has all each every "
    "file folder files which what done there been",
    "de": "der die das den dem des ein eine einen einem einer und ist sind wurde wurden nicht mit von vom zu zum zur im auf für aus "
    "sich es ich alle jede jeder datei dateien ordner welche wie viele",
    "es": "el la los las un una unos de del y es son fue fueron no con para por en al que se lo su he ha todos todas cada "
    "archivo archivos carpeta cuál cuántos qué",
    "fr": "le la les un une des du de et est sont été ne pas avec pour par dans au aux que qui ce cette se sur il elle tous toutes "
    "chaque fichier fichiers dossier quel quelle combien",
    "it": "il lo la gli le un una di del della dei e è sono stato stata non con per da nel nella che si su ho tutti tutte ogni file "
    "cartella quale quanti",
    "pt": "o a os as um uma de do da dos das e é são foi foram não com para por em no na que se ao todos todas cada arquivo ficheiro pasta "
    "qual quantos",
    "nl": "de het een en is zijn werd niet met van voor in op te naar dat die dit er alle elke bestand bestanden map welke hoeveel",
    "pl": "i w we na z ze do jest są nie się że to dla od po jak wszystkie każdy plik pliki plików folder folderze który ile został",
    "sv": "och i en ett att det som är på av för med inte till den har alla varje fil filer filen mappen vilken hur många",
    "tr": "ve bir bu da de için ile olan olarak değil dosya dosyayı dosyası dosyalar klasör klasörü her tüm hangi kaç",
}
_LISTS = {code: frozenset(words.split()) for code, words in _WORDS.items()}
_QUOTED = re.compile(r"```.*?```|`[^`\n]*`|\"[^\"\n]*\"|“[^”\n]*”|«[^»\n]*»|「[^」\n]*」|„[^“”\n]*[“”]", re.DOTALL)
_NAMED = re.compile(r"https?://\S+|[\w.~*/-]*[/\\][\w.*/\\-]*|(?<!\w)[\w*-]+\.[A-Za-z]\w{0,4}\b", re.ASCII)
_NAMED_APART = re.compile(r"(?<!\S)[^\s,;:!?，。、；：！？]{1,60}\.[A-Za-z][A-Za-z0-9]{0,4}(?![\w])")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]+")
_ENGLISH = re.compile(
    r"engl|angl[aeè]|ingl[eêé]|английск|англійськ|英|영어|الإنجليزية|انگلیسی|अंग्रेज|ภาษาอังกฤษ|אנגלית|αγγλικ|translat|übersetz|tradu|перев[её]|"
    r"翻译|翻譯|翻訳|번역|ترجم|अनुवाद|แปล",
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"SECRET_[a-z]+_[0-9a-f]+")
_READ = 4000
_LEAST = 4
_PREVAILS = 0.6


def of(text: str) -> str:
    """The code of the language that a text is in, "" where that is in doubt. What is quoted in it and names of files do not count."""
    plain = _own(text)
    script = _script(plain)
    if script == "kana":
        return "ja"
    if script == "latin":
        return _by_words(plain)
    if script == "cyrillic":
        return "uk" if re.search("[іїєґІЇЄҐ]", plain) else "ru" if re.search("[ыэъё]|[аеио][йя]|(?:ть|ся)\\b", plain) else ""
    if script == "arabic":
        return "fa" if re.search("[پچژگ]", plain) else "ar"
    return {"han": "zh"}.get(script, script)


def speaks(text: str, language: str) -> bool:
    """Whether an answer, however short, is in this language: its script, or more of its common words than of English ones."""
    plain = _own(text)
    script = _script(plain, least=1)
    if language in _LISTS:
        hits = _hits(plain)
        return script == "latin" and hits[language] > hits["en"]
    expected = {"ja": ("kana",), "zh": ("han",), "ru": ("cyrillic",), "uk": ("cyrillic",), "ar": ("arabic",), "fa": ("arabic",)}
    return script in expected.get(language, (language,))


def missed(request: str, answer: str) -> str:
    """The language that an English answer should have been in, by name; "" where it need not, or where there is any doubt."""
    code = of(request)
    if code in ("", "en") or _ENGLISH.search(request) or speaks(answer, code):
        return ""
    hits = _hits(_own(answer))
    return NAMES[code] if hits["en"] > hits[code] else ""


def _own(text: str) -> str:
    return _NAMED.sub(" ", _NAMED_APART.sub(" ", _QUOTED.sub(" ", _HIDDEN.sub(" ", text[:_READ]))))


def _script(text: str, least: int = _LEAST) -> str:
    """The script of nearly all letters, "" where none prevails. Japanese mixes kana and Han."""
    counts = Counter({name: len(found.findall(text)) * _WEIGHTS.get(name, 1.0) for name, found in _SCRIPTS})
    if counts["kana"] * 8 > counts["han"]:
        counts["kana"] += counts.pop("han", 0)
    total = sum(counts.values())
    name, most = counts.most_common(1)[0]
    return name if total >= least and most >= total * _PREVAILS else ""


def _hits(text: str) -> Counter[str]:
    words = [word.lower() for word in _LATIN_WORD.findall(text)]
    return Counter({code: sum(word in known for word in words) for code, known in _LISTS.items()})


def _by_words(text: str) -> str:
    """The language with clearly the most common words in it."""
    (first, most), (_, second) = _hits(text).most_common(2)
    return first if most >= 3 and most >= second * 1.5 else ""
