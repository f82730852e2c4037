"""Stores: the journal of charges, one token and one budget for all processes that share them."""
