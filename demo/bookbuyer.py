"""The bookbuyer: a shopper whom the store's policy admits."""

from demo.shopper import main

if __name__ == "__main__":
    main("bookbuyer")
