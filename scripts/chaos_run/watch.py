"""Looks on while the drill runs, each in a thread of its own: recoveries, files under their names, what Redis holds."""
import base64
import binascii
import contextlib
import hashlib
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import redis

from scripts.storage_names import is_temporary
