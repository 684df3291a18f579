// Package netguard decides which network addresses Slipway may connect to on behalf of a user's URL.
//
// The check is made on the address that is dialled, after name resolution and for every connection, so that neither a
// name that resolves to an inner address, nor a second answer of a changing name, nor a redirect gets around it.
package netguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Policy says which addresses may be dialled. The zero value allows public addresses only.
type Policy struct {
	// AllowPrivate also allows loopback, private and shared ranges. Link-local addresses and the metadata services of
	// clouds stay closed: no repository and no webhook lives there, but credentials do.
	AllowPrivate bool
	// Allow lists further ranges that may be dialled although they are not public.
	Allow []netip.Prefix
}

// RefusedError says that a policy does not allow an address.
type RefusedError struct {
	// Host is what should have been reached, as far as the dialer knows it: a name or an address.
	Host string
	// Why names the kind of address.
	Why string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("connecting to %s is not allowed: it is %s", e.Host, e.Why)
}

// rng is a range that is not public.
type rng struct {
	prefix netip.Prefix
	why    string
	always bool // not opened by AllowPrivate
}

func ranges(why string, always bool, prefixes ...string) []rng {
	var list []rng
	for _, p := range prefixes {
		list = append(list, rng{netip.MustParsePrefix(p), why, always})
	}
	return list
}

// closed holds the special ranges of the IANA registries for IPv4 and IPv6, the first match counts.
var closed = concat(
	ranges("the metadata service of a cloud", true, "169.254.169.254/32", "168.63.129.16/32", "100.100.100.200/32",
		"192.0.0.192/32", "fd00:ec2::/32", "fd20:ce::254/128"),
	ranges("a loopback address", false, "127.0.0.0/8", "::1/128"),
	ranges("a link-local address", true, "169.254.0.0/16", "fe80::/10"),
	ranges("a private address", false, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
	ranges("an address of a carrier's shared range", false, "100.64.0.0/10"),
	ranges("a multicast or broadcast address", true, "224.0.0.0/4", "255.255.255.255/32", "ff00::/8"),
	ranges("a reserved address", true, "0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23",
		"2001:db8::/32", "3fff::/20", "5f00::/16"),
)

func concat(lists ...[]rng) []rng {
	var all []rng
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
	sixTo4 = netip.MustParsePrefix("2002::/16")
)

// Check returns a *RefusedError when the address may not be dialled.
func (p Policy) Check(addr netip.Addr) error {
	shown := addr.String()
	addr = embedded(addr)
	for _, allowed := range p.Allow {
		if allowed.Contains(addr) {
			return nil
		}
	}
	if !addr.IsValid() {
		return &RefusedError{Host: shown, Why: "no address"}
	}
	for _, r := range closed {
		if r.prefix.Contains(addr) {
			if p.AllowPrivate && !r.always {
				return nil
			}
			return &RefusedError{Host: shown, Why: r.why}
		}
	}
	return nil
}

// embedded is the IPv4 address that an IPv6 address leads to, if it does (IPv4-mapped, NAT64, 6to4), without a zone.
func embedded(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixTo4.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return addr
}

// Control checks a connection that is about to be made. It fits net.Dialer.ControlContext.
func (p Policy) Control(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return &RefusedError{Host: address, Why: "no address"}
	}
	return p.Check(target.Addr())
}

// Dialer returns a dialer that makes only connections the policy allows.
func (p Policy) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, ControlContext: p.Control}
}

// DialContext dials like a net.Dialer; a refusal names the host that was asked for instead of its address.
func (p Policy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := p.Dialer().DialContext(ctx, network, address)
	var refused *RefusedError
	if errors.As(err, &refused) {
		if host, _, splitErr := net.SplitHostPort(address); splitErr == nil {
			return nil, &RefusedError{Host: host, Why: refused.Why}
		}
	}
	return conn, err
}

// Transport returns an HTTP transport that makes only connections the policy allows, redirects included. It uses no
// proxy from the environment, since a proxy would connect to places that nobody checks.
func (p Policy) Transport() *http.Transport {
	return &http.Transport{
		DialContext:           p.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          20,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}
