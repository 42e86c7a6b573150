#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the constants of tests/evaluate.c: Frechet distance by scipy.linalg.sqrtm, KID and precision/recall/density/coverage by numpy.

usage: make_golden_evaluate.py      (needs numpy and scipy)
The features are a formula that the test evaluates, too; sets named thin have fewer rows than values, so that their covariance is singular.
"""
import numpy as np
from scipy import linalg


def rows(n, d, phase):
    i, j = np.arange(n)[:, None], np.arange(d)[None, :]
    wave = np.sin(1.3 * i + 0.7 * j * j + 0.11 * i * j + phase) + 0.5 * np.cos(2.1 * i * (j + 1)) + 0.1 * phase * j
    return (wave * (1 + 0.2 * phase * j)).astype(np.float32).astype(np.float64)


def frechet(x, y):
    m1, m2, s1, s2 = x.mean(0), y.mean(0), np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(s1 @ s2).real
    return ((m1 - m2) ** 2).sum(), np.trace(s1 + s2 - 2 * root)


def kid(x, y):
    k = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3
    n, xx, yy = len(x), k(x, x), k(y, y)
    return ((xx.sum() - np.trace(xx)) + (yy.sum() - np.trace(yy))) / (n * (n - 1)) - 2 * k(x, y).mean()


def prdc(real, fake, k):
    d = lambda a, b: np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    radius = lambda a: np.sort(d(a, a), axis=1)[:, k]
    across, rr, rf = d(real, fake), radius(real), radius(fake)
    inside = across <= rr[:, None]
    return inside.any(0).mean(), (across <= rf[None]).any(1).mean(), inside.sum() / k / len(fake), inside.any(1).mean()


x, y = rows(60, 7, 0.0), rows(60, 7, 0.9)
print("frechet        %.15g %.15g" % frechet(x, y))
print("frechet, thin  %.15g %.15g" % frechet(rows(5, 7, 0.0), rows(60, 7, 0.9)))
print("kid            %.15g" % kid(x, y))
print("prdc, k = 3    %.15g %.15g %.15g %.15g" % prdc(x, y, 3))
