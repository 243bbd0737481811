"""Pictures of the microsite for people who judge it: python -m scripts.gallery, run by scripts/screenshots."""
import sys
from pathlib import Path

# The site with songs in every state is the tests' own (tests/microsite.py).
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))
