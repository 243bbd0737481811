"""petsong: personalised song videos. The web app (petsong.web) and the truth about a submission (petsong.lifecycle).

Nothing here imports jobs or render; jobs are enqueued by dotted strings.
"""
