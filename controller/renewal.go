package controller

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/salveops/salve/pkg/clock"
	renew "github.com/salveops/salve/pkg/enroll"
	"github.com/salveops/salve/proto/agentpb"
)

const (
	// renewedFile is in the data folder: the files of the tls block are not the node's to write.
	renewedFile = "identity.pem"
	// warnBefore is how long before its end, and endShare which share of its life, a node's certificate is a matter for
	// people: whatever is less. It should have been renewed by then.
	warnBefore = 30 * 24 * time.Hour
	endShare   = 4
	lookForEnd = time.Minute
	sayAgain   = 24 * time.Hour
	renewHelp  = "salve-controller init --ca makes another one; another authority's files are renewed by who made them"
)

// buildRenewal keeps this node's own certificate from ending.
func (c *controller) buildRenewal() {
	c.renewer = &renew.Renewer{Store: c.own, Ask: c.nextCertificate, Help: renewHelp, Log: c.log.Named("certificate")}
	c.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "salve_controller_certificate_end_seconds",
		Help: "When the certificate of this node ends, in seconds since 1970.",
	}, func() float64 { return float64(c.own.Current().Leaf.NotAfter.Unix()) }))
}

// nextCertificate signs it here, where the authority's key is, or asks the other nodes.
func (c *controller) nextCertificate(ctx context.Context, request []byte) (*agentpb.Issued, error) {
	if c.file.TLS.CAKey != "" {
		return c.giver.Own(func() *x509.Certificate { return c.own.Current().Leaf })(ctx, request)
	}
	others := c.others()
	if len(others) == 0 {
		return nil, errors.New("no other node is known, and this one has no key of an authority (tls.ca_key)")
	}
	return renew.Nodes(c.peers, func() []string { return others })(ctx, request)
}

// others are where the other nodes' APIs are.
func (c *controller) others() (out []string) {
	for _, p := range c.node.Peers() {
		if at := c.node.API(p.Name); !p.Self && at != "" {
			out = append(out, at)
		}
	}
	return out
}

// ending says what a person should know of the end of this node's certificate, "" if there is time or lines are plain.
func (c *controller) ending() string {
	if c.own == nil {
		return ""
	}
	leaf := c.own.Current().Leaf
	left := leaf.NotAfter.Sub(clock.Wall())
	why := ""
	if problem := c.renewer.Problem(); problem != "" {
		why = " (" + problem + ")"
	}
	until := leaf.NotAfter.UTC().Format(time.DateTime + " MST")
	switch {
	case left <= 0:
		return fmt.Sprintf("its certificate has ended on %s%s: %s", until, why, renewHelp)
	case left < min(warnBefore, leaf.NotAfter.Sub(leaf.NotBefore)/endShare):
		return fmt.Sprintf("its certificate ends on %s, and is not renewed%s: %s", until, why, renewHelp)
	}
	return ""
}

// watchEnd calls for people while there is time to renew this node's own certificate, once a day.
func (c *controller) watchEnd(ctx context.Context) error {
	ticker := time.NewTicker(lookForEnd)
	defer ticker.Stop()
	var said time.Time
	for {
		if text := c.ending(); text != "" && (said.IsZero() || time.Since(said) >= sayAgain) {
			said = time.Now()
			c.log.Warn("the certificate of this node", "trouble", text)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
