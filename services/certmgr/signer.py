"""From a question to its answer: decide, record, sign, measure. The only caller of the issuer."""

import time
from collections.abc import Callable
from typing import get_args

import structlog

from osm.contracts.trust import Chain, SignReply, SignRequest
from osm.runtime.metrics import from_zero, meter
from osm.runtime.tracing import tracer
from services.certmgr.decide import Kind, Order, Reason, Refusal, Rules, decide, kind_of, spelt
from services.certmgr.issuer import Issuer, IssuerEnded, IssuerUnavailable
from services.certmgr.ledger import BadLedger, Ledger, LedgerUnavailable
from services.certmgr.rotation import raised
from services.certmgr.state import Picture
from services.certmgr.verified import WrongAnswer

log = structlog.get_logger()


class Signer:
    """Answers `sign`. Its belief about the mesh is `picture`, kept current by the shell."""

    def __init__(
        self, picture: Picture, issuer: Issuer, ledger: Ledger, rules: Rules, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._picture = picture
        self._issuer = issuer
        self._ledger = ledger
        self._rules = rules
        self._clock = clock
        measures = meter("certmgr")
        self._signed = measures.create_counter("osm.certmgr.signed", description="certificates signed, by kind")
        self._refused = measures.create_counter("osm.certmgr.refused", description="requests refused, by reason")
        from_zero(self._signed, "kind", get_args(Kind))
        from_zero(self._refused, "reason", get_args(Reason))
        measures.create_gauge(
            "osm.certmgr.root_not_after", unit="s", description="when the root that signs ends, since the epoch"
        ).set(issuer.not_after_s)
        self._duration = measures.create_histogram(
            "osm.certmgr.sign_duration", unit="s", description="from a request to its answer, by kind"
        )

    async def answer(self, caller: str, request: SignRequest) -> SignReply:
        """Never raises for a bad request or an issuer in trouble: those are refusals that say so."""
        kind = kind_of(request.subject)
        begun_s = time.perf_counter()
        with tracer("certmgr").start_as_current_span("sign", attributes={"kind": kind, "caller": caller}):
            outcome = await self._outcome(caller, request)
        self._duration.record(time.perf_counter() - begun_s, {"kind": kind})
        subject = spelt(request.subject)
        if isinstance(outcome, Refusal):
            self._refused.add(1, {"reason": outcome.reason})
            log.warning("refused to sign", caller=caller, kind=kind, subject=subject, why=outcome.why)
            return SignReply(outcome=outcome.reply())
        self._signed.add(1, {"kind": kind})
        log.debug("signed", caller=caller, kind=kind, subject=subject, not_after_s=outcome.not_after_s)
        return SignReply(outcome=outcome)

    async def _outcome(self, caller: str, request: SignRequest) -> Chain | Refusal:
        if not self._picture.trusts(self._issuer.root_pem):
            why = f"root {self._issuer.key_id} of this certmgr is not in the published bundle, so nobody would trust it"
            return Refusal(reason="untrusted-root", why=why, retry=True)
        verdict = decide(caller, request, identities=self._picture.identities, rules=self._rules)
        return verdict if isinstance(verdict, Refusal) else await self._sign(verdict)

    async def _sign(self, order: Order) -> Chain | Refusal:
        now_s = self._clock()
        try:
            await self._record(order, now_s)
            return await self._issuer.sign(order, now_s)
        except IssuerEnded as error:
            return Refusal(reason="issuer", why=str(error))
        except WrongAnswer as error:
            why = f"the certificate authority answered with another certificate than was ordered: {error}"
            return Refusal(reason="wrong-answer", why=why, retry=True)
        except (IssuerUnavailable, BadLedger, LedgerUnavailable, OSError) as error:
            return Refusal(reason="issuer", why=f"cannot sign now: {error}", retry=True)

    async def _record(self, order: Order, now_s: float) -> None:
        """Before the signature: a crash in between leaves a bound that is too late, never one too early."""
        ceiling_s = raised(
            self._ledger.granted,
            self._issuer.key_id,
            not_after_s=self._issuer.expiry_s(order, now_s),
            lifetime_s=order.lifetime_s,
            issuer_end_s=self._issuer.not_after_s,
        )
        if ceiling_s is not None:
            await self._ledger.record(self._issuer.key_id, ceiling_s)
