"""A table of what people do to a calendar, one test each; after one quiet poll Salesloft shows exactly that.

Every scenario ends in `settle`: one cycle brings Salesloft to what Google shows and sends only what differs, and one
cycle more sends nothing and asks Google one question. Read `steps` first.
"""
