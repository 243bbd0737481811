"""Stages, claims, leases, allowed moves: the only code that changes a submission's stage or an attempt.

stages    the table of moves
claims    who may write a row: take, advance, release, fail
arrival   a form becomes a row
sending   slots, attempts, the mark before the paid call
answers   what the answer to an order means
orders    a row's orders: it fails only when none can bring a song
readback  hints, and what the service answers
recovery  leases of the dead, rows whose job is nowhere, limits
breaker   pauses all sending while the service refuses everybody
operator  a new life for a failed row
"""
