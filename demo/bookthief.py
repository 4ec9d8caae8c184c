"""The bookthief: a shopper like the bookbuyer, whom no policy admits."""

from demo.shopper import main

if __name__ == "__main__":
    main("bookthief")
