"""A composer for the song service's stand-in: an order becomes lyrics, a score, a voice and a mix; the same order, the
same song.

lyrics.py needs the standard library alone and runs where orders are taken. Everything from score.py on needs numpy and
runs in a process of its own (`python -m scripts.sandbox.compose`), because a song takes a second or two of CPU; the
voice is native code and runs in another one still (speaker.py), because that may crash.
"""
