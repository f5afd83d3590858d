"""Scores: counts per date, intervals by block bootstrap, ties, the fairness gate, the leaderboard. Knows no task.

A task turns a run's products into *counts per date* (a dataset whose variables start with the dimension ``time``).
Everything after that is sums of counts over dates: a metric is a function of such sums, and an interval comes from
summing the dates of each resample.
"""
