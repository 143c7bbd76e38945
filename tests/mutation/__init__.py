"""Mutation: are the stimuli of a unit's tests good enough to notice a changed gate?"""
