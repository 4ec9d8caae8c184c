"""certmgr: who gets a certificate, and which roots are trusted.

Listens to: `endpoints` · `identity.…` (who is in the mesh); certificate signing requests.
Decides: whether to sign, what the certificate says, how long it lives (`decide`), with which root (`issuer`). An
authority elsewhere is asked (`external`, `vault`, `cert_manager`) and not believed (`verified`).
Publishes: signed chains as replies; `certmgr` · `bundle.<trust domain>`. It never sees anyone's private key.
"""
