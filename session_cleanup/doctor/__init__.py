"""Looks at each policy in its database and says what will make its runs slow, unsafe or inexact."""
