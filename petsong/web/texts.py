"""What the API calls things, in English. The words of the pages stand in petsong/translations."""

# The videos, by their formats; the first is the one that the page shows.
FORMATS = {"square": "Square", "hd": "HD", "story": "Story"}
