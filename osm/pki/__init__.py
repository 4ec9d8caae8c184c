"""Keys, requests and certificates of the mesh: what they say, how long they hold, whom they prove.

`keys`, `reading`, `issuing` and `renewal` compute; `files` puts secrets on disk; `holder` keeps a certificate fresh
over the bus. Nobody else imports `cryptography`. A private key leaves memory by `keys.key_pem` alone.
"""
