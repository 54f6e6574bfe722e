"""What the pages of both programs share: back office and till.

Words, money and dates in the language of whoever reads; templates; static files and one design; what a
request must be, and what every page says of itself. It knows neither shops nor sales.
"""
