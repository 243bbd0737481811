"""Words for a song that names the pet and its owner, both taken from the order's prompt."""

import re

# "... the special bond between {owner} and their beloved {kind} {pet}. Make it warm": kind is one word, and everything
# after it is the pet's name, which may have spaces and any letters.
_NAMES = re.compile(r"between (?P<owner>.+?) and their beloved (?:\S+) (?P<pet>.+?)(?:\. Make\b|\.\s|\.?$)", re.DOTALL)
_UNKNOWN = ("your dearest friend", "you")

_SONG = """[Verse 1]
{pet} hears the key turn in the door
Nobody ever ran so fast before
{owner} comes home from the end of the day
And all of the clouds have drifted away

[Chorus]
Oh {pet}, oh {pet}, you are the reason
Sunny in every kind of season
{owner} and {pet}, round and round
The best love that was ever found

[Verse 2]
One small heart and a very loud snore
{owner} could never have asked for more
A walk, a song and a place by the side
With {pet} along it is always a ride

[Chorus]
Oh {pet}, oh {pet}, you are the reason
Sunny in every kind of season
{owner} and {pet}, round and round
The best love that was ever found"""


def names(prompt: str) -> tuple[str, str]:
    """(owner, pet) as the prompt has them; friendly words where it names nobody."""
    found = _NAMES.search(prompt)
    return (found["owner"].strip(), found["pet"].strip()) if found else _UNKNOWN


def write(prompt: str) -> str:
    """Two verses and two choruses with [Section] labels; every section names the pet."""
    owner, pet = names(prompt)
    # One pass: a pet called "{owner}" is sung as such.
    return re.sub(r"\{(owner|pet)\}", lambda found: owner if found[1] == "owner" else pet, _SONG)
