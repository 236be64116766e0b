package spec

import (
	"fmt"

	"github.com/salveops/salve/proto/logpb"
)

// settle: only the holder ends a permit, with the whole token, the epoch of the grant, and in the session
// that counts.
func (t *Table) settle(c *logpb.Settle, r *logpb.Result) error {
	h := t.Hosts[c.GetHost()]
	if h == nil || h.Removed {
		_, err := verdict(r, map[string]string{"removed": "there is no such host"})
		return err
	}
	p := t.Permits[tokenOf(c.GetToken())]
	reasons := t.unsettled(h, p, c)
	if p != nil && p.Unknown && c.GetSettlement() == logpb.Settlement_SETTLEMENT_UNKNOWN && len(reasons) == 1 {
		return accepted(r) // said before
	}
	if len(reasons) > 0 {
		_, err := verdict(r, reasons)
		return err
	}
	h.claim(c.GetClaims())
	if c.GetSettlement() == logpb.Settlement_SETTLEMENT_CLEARED && !t.serves(c.GetHost(), p) {
		_, err := verdict(r, map[string]string{"serving": "the host does not serve yet"})
		return err
	}
	if err := accepted(r); err != nil {
		return err
	}
	switch c.GetSettlement() {
	case logpb.Settlement_SETTLEMENT_UNKNOWN:
		t.doubt(p)
		return nil
	case logpb.Settlement_SETTLEMENT_SERVING:
		t.widen(p)
	case logpb.Settlement_SETTLEMENT_FAILED:
		t.fail(p)
	}
	delete(t.Permits, tokenOf(c.GetToken()))
	return nil
}

// unsettled gives the reasons why a settlement ends nothing.
func (t *Table) unsettled(h *Host, p *Permit, c *logpb.Settle) map[string]string {
	reasons := map[string]string{}
	if c.GetSessionEpoch() != h.Epoch {
		reasons["epoch"] = fmt.Sprint("the session that counts is ", h.Epoch)
	}
	if p == nil {
		reasons["settled"] = "no such permit is open"
		return reasons
	}
	if p.Host != c.GetHost() || p.Epoch != c.GetEpoch() {
		reasons["epoch"] = fmt.Sprintf("the permit is of epoch %d of %s", p.Epoch, p.Host)
	}
	switch x := c.GetSettlement(); {
	case x == logpb.Settlement_SETTLEMENT_UNSPECIFIED, p.Unknown != (x == logpb.Settlement_SETTLEMENT_CLEARED):
		reasons["settlement"] = fmt.Sprintf("the permit is unknown: %t", p.Unknown)
	}
	return reasons
}

// serves reports whether the host serves all that the permit took away on it.
func (t *Table) serves(host string, p *Permit) bool {
	h := t.Hosts[host]
	for _, x := range p.Targets {
		if x.Host == host && h.has(x.Service) &&
			(h.Lost || h.Awaited || h.Quarantined || h.Services[x.Service].Serving != logpb.Serving_SERVING_YES) {
			return false
		}
	}
	return true
}

// revoke asks to stop. It ends nothing.
func (t *Table) revoke(c *logpb.Revoke, r *logpb.Result) error {
	p := t.Permits[tokenOf(c.GetToken())]
	done, err := verdict(r, t.noSuch(p, c.GetEpoch()))
	if done && err == nil {
		p.Revoke = true
	}
	return err
}

// force ends a permit on a person's word.
func (t *Table) force(c *logpb.ForceSettle, r *logpb.Result) error {
	p := t.Permits[tokenOf(c.GetToken())]
	done, err := verdict(r, t.noSuch(p, c.GetEpoch()))
	if done && err == nil {
		t.fail(p)
		delete(t.Permits, tokenOf(c.GetToken()))
	}
	return err
}

func (t *Table) noSuch(p *Permit, epoch uint64) map[string]string {
	if p == nil || epoch != 0 && epoch != p.Epoch {
		return map[string]string{"settled": "no such permit is open"}
	}
	return nil
}
