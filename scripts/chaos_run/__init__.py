"""The product as in production, a steady stream of visitors, a nemesis, and a judge: `scripts/chaos`.

house     all processes of the product on this machine, with settings scaled so that a service's minutes become seconds
campaign  the visitors, and what they were told
nemesis   kills, freezes, cuts and spoils, by a seed
watch     looks on while it runs: recoveries, files, what Redis holds
records   reads what is left: the database, the disk, the sound of each video, processes
canaries  what must never be seen in logs or Redis
checker   the judge: pure functions over the records
report    one JSON line, and the findings in words
"""
