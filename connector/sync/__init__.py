"""The steps that join Google, the state and Salesloft. All asyncio; each step is one call that a test can make.

Read `seller` (whom a step serves), `reading` (one calendar: listing → findings), `cycle` (reading → commit) and
`delivery` (outbox → Salesloft) in that order. May import google, salesloft, store, observe and domain. Who calls the
steps, and when, is decided in `engines`.
"""
