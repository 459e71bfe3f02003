"""Small talk: messages that only greet, thank, say goodbye or ask about the assistant, in English and French. Pure."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from bot.core.texts import Language

SmallTalkKind = Literal["greeting", "thanks", "farewell", "about"]

_GREETING: Mapping[Language, str] = {
    "en": """
hello | hi | hiya | hey | heya | howdy | yo | greetings | good day | good morning | good afternoon
good evening | morning | evening | how are you | how are you doing | how are things | how do you do | how is it going
how's it going | what's up | whats up | nice to meet you | pleased to meet you | are you there | anybody there
anyone there | is anybody there | is anyone there | are you awake | are you online | ping
""",
    "fr": """
bonjour | bonsoir | salut | coucou | allo | bjr | slt | ca va | comment ca va | tu vas bien | vous allez bien
comment vas tu | comment allez vous | enchante | enchantee | tu es la | t'es la | vous etes la | es tu la | etes vous la
il y a quelqu'un | quoi de neuf
""",
}
_THANKS: Mapping[Language, str] = {
    "en": """
thanks | thank you | thanks a lot | thanks a million | thanks a bunch | many thanks | thx | thank u | ty | cheers
much appreciated | i appreciate it | that helps | that helped | that was helpful | you are great | you're great
""",
    "fr": """
merci | merci beaucoup | merci bien | merci mille fois | mille mercis | un grand merci | grand merci
c'est gentil | c'est tres gentil | tu es genial | tu es geniale
""",
}
_FAREWELL: Mapping[Language, str] = {
    "en": """
bye | bye bye | goodbye | good bye | good night | see you | see you later | see you soon | see you tomorrow | see ya
have a nice day | have a good day | have a nice evening | have a good night | take care
""",
    "fr": """
au revoir | a bientot | a plus | a plus tard | a demain | a tout a l'heure | bonne nuit | bonne journee | bonne soiree
bon week end | adieu
""",
}
_ABOUT: Mapping[Language, str] = {
    "en": """
who are you | what are you | what is your name | what's your name | whats your name | do you have a name
what can you do | what can you do for me | what can you do for us | what do you do | what do you know
what else can you do | what are you able to do | what are you for | what are you good for | what can i ask
what can i ask you | what can we ask you | what may i ask you | how can you help | how can you help me
how can you help us | how do you work | how do i use you | how can i use you | how does this bot work
can you help | can you help me | can you help us | could you help me | help me | i need help | introduce yourself
tell me about yourself | are you a bot | are you a robot | are you human | are you an ai
""",
    "fr": """
qui es tu | qui etes vous | tu es qui | t'es qui | vous etes qui | es tu un robot | tu es un robot | es tu un bot
comment t'appelles tu | comment tu t'appelles | comment vous appelez vous | quel est ton nom | quel est votre nom
c'est quoi ton nom | que peux tu faire | que peux tu faire pour moi | que sais tu faire | que fais tu | tu fais quoi
que pouvez vous faire | que savez vous faire | que faites vous | qu'est ce que tu peux faire
qu'est ce que tu sais faire | qu'est ce que vous pouvez faire | qu'est ce que tu fais | tu peux faire quoi
tu sais faire quoi | que sais tu | a quoi sers tu | a quoi tu sers | tu sers a quoi | a quoi servez vous
comment tu marches | comment marches tu | comment tu fonctionnes | comment fonctionnes tu
peux tu m'aider | tu peux m'aider | pouvez vous m'aider | vous pouvez m'aider | aide moi | aidez moi
j'ai besoin d'aide | presente toi | que puis je te demander | que puis je demander | que puis je vous demander
""",
}
_PHRASES: Mapping[SmallTalkKind, Mapping[Language, str]] = {
    "greeting": _GREETING,
    "thanks": _THANKS,
    "farewell": _FAREWELL,
    "about": _ABOUT,
}
_ELSEWHERE: Mapping[SmallTalkKind, str] = {
    "greeting": "hallo | guten tag | guten morgen | hola | buenos dias | ciao | buongiorno | ola | hoi | hej | ahoj",
    "thanks": "danke | vielen dank | gracias | muchas gracias | grazie | obrigado | obrigada | bedankt | dank je",
    "farewell": "tschuss | auf wiedersehen | adios | arrivederci | tot ziens",
}
"""Small talk in languages that Hearth's own sentences are not in."""
_FILLERS = """
there | again | everyone | everybody | all | folks | friend | my friend | dear | please | then | so | so much
very much | a lot | indeed | and | oh | ok | okay | great | perfect | super | cool | well | for your help | for the help
for helping | for the answer | for your answer | for that | for everything | for all | exactly | bot | today | now
assistant | a tous | a toutes | tout le monde | toi | a toi | vous | a vous | l'ami | s'il te plait | s'il vous plait
stp | svp | pour ton aide | pour votre aide | pour l'aide | pour la reponse | pour ta reponse | pour votre reponse
pour tout | alors | et | parfait | d'accord | bien | beaucoup | c'est parfait | aujourd'hui | encore | infiniment
"""
_WAVES: Mapping[str, SmallTalkKind] = {
    "👋": "greeting",
    "🙏": "thanks",
    "👍": "thanks",
    "❤": "thanks",
    "🙂": "greeting",
}
_MOST_CHARACTERS = 120
"""Longer messages are no small talk."""
_RANK: Sequence[SmallTalkKind] = ("about", "thanks", "farewell", "greeting")
"""The kind that is answered when a message has several."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass(frozen=True, slots=True)
class SmallTalk:
    """The kind of small talk, and the language of its phrase; None for signs and other languages."""

    kind: SmallTalkKind
    language: Language | None


def recognize_small_talk(text: str, name: str = "") -> SmallTalk | None:
    """The small talk that a message consists of; None as soon as it says anything else. `name` is the assistant's."""
    if len(text) > _MOST_CHARACTERS:
        return None
    words = tuple(_WORD.findall(_fold(text)))
    if not words:
        return _recognize_sign(text)
    if words == tuple(_WORD.findall(_fold(name))):
        return SmallTalk("greeting", None)
    if not (found := _cover(words, _fillers(name))):
        return None
    return min(found, key=lambda each: _RANK.index(each.kind))


def _recognize_sign(text: str) -> SmallTalk | None:
    return next((SmallTalk(kind, None) for sign, kind in _WAVES.items() if sign in text), None)


def _cover(words: tuple[str, ...], fillers: frozenset[tuple[str, ...]]) -> list[SmallTalk] | None:
    """The phrases that the words consist of, besides fillers; None when something is left. The longest match wins."""
    phrases, found, at = _phrases(), list[SmallTalk](), 0
    while at < len(words):
        for end in range(min(len(words), at + _longest_phrase()), at, -1):
            part = words[at:end]
            if part in phrases:
                found.append(phrases[part])
            if part in phrases or part in fillers:
                at = end
                break
        else:
            return None
    return found


@cache
def _phrases() -> Mapping[tuple[str, ...], SmallTalk]:
    elsewhere = {phrase: SmallTalk(kind, None) for kind, text in _ELSEWHERE.items() for phrase in _split_phrases(text)}
    return elsewhere | {
        phrase: SmallTalk(kind, language)
        for kind, by_language in _PHRASES.items()
        for language, text in by_language.items()
        for phrase in _split_phrases(text)
    }


@cache
def _longest_phrase() -> int:
    return max(map(len, _phrases()))


@cache
def _fillers(name: str) -> frozenset[tuple[str, ...]]:
    return frozenset([*_split_phrases(_FILLERS), tuple(_WORD.findall(_fold(name)))])


def _split_phrases(text: str) -> Iterator[tuple[str, ...]]:
    for phrase in re.split(r"[|\n]", text):
        if phrase.strip():
            yield tuple(phrase.split())


def _fold(text: str) -> str:
    """Lower case without accents, with hyphens as spaces and one form of the apostrophe."""
    decomposed = unicodedata.normalize("NFKD", text.replace("’", "'").replace("-", " ").replace("‑", " "))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()
