"""Language detection for documents and for short messages."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier  # type: ignore[import-untyped]

LANGUAGE_NAMES: Mapping[str, str] = {
    "ar": "Arabic", "bg": "Bulgarian", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian",
    "sr": "Serbian", "sv": "Swedish", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese",
    "zh": "Chinese",
}  # fmt: skip
"""The languages that are told apart, with their English names.

A subset of 140 for fewer mistakes: rare languages mostly win on names and numbers.
"""
_SAMPLE_CHARACTERS = 2000
_FEWEST_LETTERS = 20
_LEAST_PROBABILITY = 0.6

# Words common to both languages (on, a, me, plus, or, but, as, son, main, car, an) are left out on purpose.
_ENGLISH = """
about after again all also always am and any anybody anyone anything are at be been before being both by can cannot
could did do does doing done down each either else ever every everyone everything few find first for from get give go
goes going good got had has have having he hello help her here hers hey hi him his how i if in into is it its just keep
know last let like list look make many may maybe mine more morning most much must my need never new next night no not
nothing now of off often old once only other our ours out over own please put really restart run same say see set she
should show since so some somebody someone something soon still stop such tell than thank thanks that the their them
then there these they thing think this those through to today together tomorrow too tonight under until up us use
used using very want was we well were what when where whether which while who whom whose why will with within without
work working works would yes yesterday yet you your yours bye welcome week month year day cool great
"""
_FRENCH = """
ai ainsi alors après arrête assez au aucun aucune aujourd auquel aussi autre autres aux avant avec avez avoir
avons beaucoup bien bientôt bonjour bonne bonsoir ce cela celle celles celui cependant ces cet cette ceux chaque
chez combien comme comment dans de demain depuis derrière des dessous dessus deux devant dire dis dit dois doit donc
donne dont du déjà désolé elle elles en encore enfin entre est et etait ete etes eux faire fais fait faites faut
fois font hier hui ici il ils jamais je jour la le lequel les leur leurs liste là lui ma mais maintenant marche
matin merci mes mieux mois moi moins mon montre même ne ni nom nos notre nous nouveau nouvelle nuit oui où ou par
parce parle pas pendant personne peu peut peux plait plaît pour pourquoi pouvez premier près puis puisque quand que quel
quelle quelles quels quelque quelques qui quoi rien sa salut sans sauf ses seulement si soir soit sommes
sont sous souvent suis sur svp stp ta tant tard te tes toi ton toujours tous tout toute toutes tres très trop trouve
trouver tu un une va vas veut veux vers voici voilà vont vos votre voudrais vous vrai vraiment y à été êtes être
accord coucou bonne semaine année aide
"""
_OTHERS = """
das dem den der ich ist nicht und wie wo wir mit auf für auch bitte danke guten hallo sie es ein eine einen kann
el los las del dónde está qué cómo cuándo gracias hola por para una muy pero con puede
che chi dove è sono questo questa grazie ciao della delle nel perché come il lo gli
het een waar hoe niet ik dank jij zijn wat voor onde obrigado não você uma
"""
_SPELLINGS: Mapping[str, tuple[tuple[re.Pattern[str], float], ...]] = {
    "en": (
        (re.compile(r"\w['’](?:s|re|ve|ll|t|m|d)\b"), 1.0),
        (re.compile(r"\b\w*(?:wh|th|sh|ck|gh|oo|ee|kn|wn)\w*\b"), 0.5),
        (re.compile(r"\b\w{2,}(?:ing|ness|ful|less|ly|ies|ers)\b"), 0.5),
    ),
    "fr": (
        (re.compile(r"\b(?:[ldjcnstm]|qu|jusqu|lorsqu|puisqu)['’](?=\w\w)"), 1.0),
        (re.compile(r"[éèêëàâçœùûîïô]"), 0.5),
        (re.compile(r"\b\w{2,}(?:eur|eurs|eux|euse|aux|eau|eaux|oir|oire|ique|ez|ette|ier|iez|ais|ait)\b"), 0.5),
        (re.compile(r"\w\s[?!:;]"), 0.5),
        (re.compile(r"\w-(?:tu|vous|il|elle|moi|le|la|les|nous|ce)\b"), 1.0),
    ),
}
_LEAST_VOTES = 0.5
_LEAST_LEAD = 0.25


def detect_language(text: str) -> str:
    """The ISO 639-1 code of a document's language; empty when the text is too short or the answer unclear.

    The first call loads a model (almost a second, 50 MB), so call it in the reading process.
    """
    sample = text[:_SAMPLE_CHARACTERS]
    if sum(character.isalpha() for character in sample) < _FEWEST_LETTERS:
        return ""
    language, probability = _identifier().classify(sample)
    return str(language) if probability >= _LEAST_PROBABILITY else ""


def guess_language(text: str, among: Sequence[str] = ("en", "fr")) -> str | None:
    """The language of a message, English or French, if it is clear and in `among`; else None.

    Common words and spellings vote: without a model, and fast enough for the event loop.
    """
    votes = _votes(unicodedata.normalize("NFC", text[:_SAMPLE_CHARACTERS]).lower().replace("’", "'"))
    best = max(votes, key=lambda language: votes[language])
    lead = votes[best] - max(score for language, score in votes.items() if language != best)
    clear = votes[best] >= _LEAST_VOTES and lead >= _LEAST_LEAD * votes[best]
    return best if clear and best in among else None


def _votes(text: str) -> dict[str, float]:
    words = re.findall(r"[^\W\d_]+", text)
    known = _known_words()
    votes = {language: float(sum(word in known[language] for word in words)) for language in known}
    for language, leans in _SPELLINGS.items():
        votes[language] += sum(weight * len(pattern.findall(text)) for pattern, weight in leans)
    return votes


@cache
def _known_words() -> dict[str, frozenset[str]]:
    lists = {"en": _ENGLISH, "fr": _FRENCH, "other": _OTHERS}
    return {language: frozenset(words.split()) for language, words in lists.items()}


@cache
def _identifier() -> "LanguageIdentifier":
    """The model, restricted to our languages: the others would take another 25 MB."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    full = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    full.set_languages(list(LANGUAGE_NAMES))
    return LanguageIdentifier(
        full.nb_ptc, full.nb_pc, full.nb_classes, full.tk_nextmove, full.tk_output, norm_probs=True, tk_row=full.tk_row
    )
