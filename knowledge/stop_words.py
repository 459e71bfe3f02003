"""Stop words: the words with which people ask in English, French, German and Chinese."""

import unicodedata

_ENGLISH = """
a about after all also am an and any are as at be been but by can could did do does for from had has have he her him
his how i if in into is it its me may might more most my no nor not of off on our out shall she should so some such
than that the their them then there these they this those to too under up us was we were what when where which while
who whom whose why will with would you your please tell know
"""
_FRENCH = """
a à ai aie ait as au aux avec avez avons c ce cela ces cet cette ceux chez ci combien comme comment d dans de des donc
dont du elle elles en es est et étaient était été être eu eux fait faut font il ils j je l la le les leur leurs lors
lui m ma mais me mes moi mon n ne ni nos notre nous on ont ou où par pas peu peut peux plus pour pourquoi qu quand que
quel quelle quelles quels qui quoi s sa sans se ses si sont suis sur t ta te tes toi ton toujours tous tout toute toutes
tu un une va vais vas vont vos votre vous y
"""
_GERMAN = """
aber bei beim bitte das dein deine dem der ein eine einem einen einer eines er gibt haben habe ich ihr im ist kann kein
keine können meine meinem meinen meiner mein mich mir mit müssen muss nach nicht oder sich sie sind soll sollen und uns
unser unsere unserem unseren unserer vom von wann warum welche welchem welchen welcher welches wer werden wie wieso wir
wird wo wurde wurden zu zum zur
"""
_CHINESE = "什么 怎么 多少 多久 如何 何时 几点 请问 为什"


def _without_accents(words: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", words) if not unicodedata.combining(c))


STOP_WORDS = frozenset(_without_accents(_ENGLISH + _FRENCH + _GERMAN + _CHINESE).split())
"""Stop words, folded.

Frequent words weigh little anyway; these are the words of questions (who, combien), which are rare in documents. Stop
words of one language that mean something in another (`or` is gold, `son` a sound, `für` a fur) are left out.
"""
