"""Boards, synthesis and place-and-route."""
