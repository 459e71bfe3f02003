import pytest

from knowledge.languages import detect_language, guess_language

ENGLISH = """
On which shelf is the backup drive?
thanks
Thank you!
hello
Hi there
yes
What port does Jellyfin use?
how do I restart plex
Which cable goes to the router?
stop
Who has the key to the garage?
wifi password please
When is the next backup
and who starred in it?
is the NAS down again?
it's broken
don’t know
good morning
give me the second one
printer not working
never mind
great, thanks
which one?
help
"""
FRENCH = """
Où est le disque de sauvegarde ?
merci
Merci beaucoup !
bonjour
salut
oui
quel port utilise Jellyfin
comment redémarrer plex
à quelle heure est la sauvegarde
mot de passe du wifi
C’est quoi le code du portail ?
qui a la clé du garage
et le deuxième ?
l'imprimante ne marche pas
montre-moi la liste des caméras
d'accord
aide
ou est la cle de la cave
je sais pas
et demain ?
non merci
stp redemarre plex
lequel ?
le bleu
y a quoi dans le carton 12
ETEINS LA LUMIERE DU SALON
"""
UNCLEAR = """
ok
42
👍
Plex
NAS?
lol
192.168.1.10
https://example.org/page
Wo ist die Festplatte?
¿Dónde está el disco?
Dov'è il disco?
…
"""


def lines(block: str) -> list[str]:
    return block.strip().split("\n")


@pytest.mark.parametrize("message", lines(ENGLISH))
def test_short_english_messages_are_told(message: str) -> None:
    assert guess_language(message) == "en"


@pytest.mark.parametrize("message", lines(FRENCH))
def test_short_french_messages_are_told(message: str) -> None:
    assert guess_language(message) == "fr"


@pytest.mark.parametrize("message", ["", *lines(UNCLEAR)])
def test_what_is_neither_or_either_is_left_open(message: str) -> None:
    assert guess_language(message) is None


def test_a_language_that_is_no_choice_is_not_guessed() -> None:
    assert guess_language("Où est le disque de sauvegarde ?", among=("en",)) is None


def test_accents_written_as_two_characters_count_alike() -> None:
    assert guess_language("voila\u0300") == "fr"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The backup drive is on shelf B3, in the cellar, behind the heating.", "en"),
        ("Le disque de sauvegarde est sur l'étagère B3, à la cave, derrière le chauffage.", "fr"),
        ("Die Sicherungsplatte steht im Keller auf dem Regal B3, hinter der Heizung.", "de"),
        ("El disco de copias está en el estante B3, en el sótano, detrás de la calefacción.", "es"),
        ("Резервный диск лежит на полке Б3 в подвале за отоплением.", "ru"),
        ("B3: 42", ""),
        ("192.168.1.10 8096 2283 32400 :: / 24", ""),
        ("", ""),
    ],
)
def test_the_language_of_a_document_is_told_or_left_open(text: str, language: str) -> None:
    assert detect_language(text) == language
