// Package limit counts what may fail or be asked, by address and in all, in memory that does not grow with the
// addresses.
package limit

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxOrigins are remembered one by one.
const maxOrigins = 4096

// bucket holds what may still be taken, and fills by one in each turn.
type bucket struct {
	left float64
	at   time.Time
}

// Limiter counts attempts of addresses, and of all together. It takes as much memory for a million addresses as for a
// few thousand: those beyond share one count.
type Limiter struct {
	burst, allBurst float64
	every, allEvery time.Duration

	mu     sync.Mutex
	all    bucket
	others bucket
	by     map[netip.Addr]bucket
	forgot time.Time // when those as good as new were dropped last
}

// New lets each address try burst times at once and then once in every, and all of them together likewise.
func New(burst int, every time.Duration, allBurst int, allEvery time.Duration) *Limiter {
	return &Limiter{burst: float64(burst), every: every, allBurst: float64(allBurst), allEvery: allEvery,
		all: bucket{left: float64(allBurst)}, others: bucket{left: float64(burst)}, by: map[netip.Addr]bucket{}}
}

// Ok reports whether the address may try.
func (l *Limiter) Ok(from netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return filled(l.bucket(from), now, l.burst, l.every).left >= 1 && filled(l.all, now, l.allBurst, l.allEvery).left >= 1
}

// Take counts one attempt.
func (l *Limiter) Take(from netip.Addr, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spend(from, now)
}

func (l *Limiter) spend(from netip.Addr, now time.Time) {
	l.all = filled(l.all, now, l.allBurst, l.allEvery)
	l.all.left = max(0, l.all.left-1)
	b := filled(l.bucket(from), now, l.burst, l.every)
	b.left = max(0, b.left-1)
	if _, known := l.by[from]; !known && len(l.by) >= maxOrigins {
		l.forget(now)
		if len(l.by) >= maxOrigins {
			l.others = b
			return
		}
	}
	l.by[from] = b
}

// Try counts an attempt if it may be made.
func (l *Limiter) Try(address string, now time.Time) bool { return l.TryKey(Origin(address), now) }

// TryKey is Try for what is no address of a caller.
func (l *Limiter) TryKey(from netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if filled(l.bucket(from), now, l.burst, l.every).left < 1 || filled(l.all, now, l.allBurst, l.allEvery).left < 1 {
		return false
	}
	l.spend(from, now)
	return true
}

// bucket is that of an address.
func (l *Limiter) bucket(from netip.Addr) bucket {
	if b, ok := l.by[from]; ok {
		return b
	}
	if len(l.by) >= maxOrigins {
		return l.others
	}
	return bucket{left: l.burst}
}

// forgetEvery spares whoever is flooded the look at all addresses for each new one.
const forgetEvery = 100 * time.Millisecond

// forget drops the addresses that are as good as new.
func (l *Limiter) forget(now time.Time) {
	if since := now.Sub(l.forgot); since >= 0 && since < forgetEvery {
		return
	}
	l.forgot = now
	for from, b := range l.by {
		if filled(b, now, l.burst, l.every).left >= l.burst {
			delete(l.by, from)
		}
	}
}

// filled is a bucket after the time that has passed. A clock that goes back fills nothing.
func filled(b bucket, now time.Time, burst float64, every time.Duration) bucket {
	if !b.at.IsZero() {
		b.left = min(burst, b.left+max(0, float64(now.Sub(b.at))/float64(every)))
	}
	b.at = now
	return b
}

// IP is the address in "host:port" or alone, the zero one if there is none.
func IP(address string) netip.Addr {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap()
}

// Origin is whom a limit counts: an address, or for IPv6 a network, of which anybody has as many addresses as he
// likes.
func Origin(address string) netip.Addr {
	ip := IP(address).WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}
