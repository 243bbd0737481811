"""A folder per campaign: campaign.toml, its texts and its art. `loader.py` reads and checks them."""
