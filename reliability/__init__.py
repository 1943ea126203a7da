"""Figures of reliability: each is a program that counts trials and failures.

Beside every figure stands its negative control: the same program with one protection
removed (:mod:`reliability.sabotage`), which must fail. ``python -m reliability``
prints them all.
"""
