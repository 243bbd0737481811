"""Photo + MP3 → MP4, as a library and as `python -m render`.

Knows files and figures only: no Flask, database, Redis or settings. Imports the standard library, Pillow and mutagen.
ffmpeg.py alone starts processes.
"""
