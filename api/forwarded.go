package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// maxForwarded is how many addresses of a request's X-Forwarded-For are looked at: a caller may send any number.
const maxForwarded = 20

// ForwardedAddress gives the caller's address where the server stands behind proxies: the last address of
// X-Forwarded-For that is not a proxy's. Only what trusted proxies wrote counts, since everything to the left of it may
// have come from the caller; a request that did not come through a trusted proxy has its connection's address. No
// proxies: nil, which means the connection's address everywhere.
func ForwardedAddress(proxies []netip.Prefix) func(*http.Request) string {
	if len(proxies) == 0 {
		return nil
	}
	trusted := func(a netip.Addr) bool {
		for _, p := range proxies {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	return func(r *http.Request) string {
		at, ok := remoteAddress(r)
		if !ok || !trusted(at) {
			return ConnectionAddress(r)
		}
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for n := 0; len(hops) > 0 && n < maxForwarded && trusted(at); n++ {
			hop := strings.TrimSpace(hops[len(hops)-1])
			hops = hops[:len(hops)-1]
			next, ok := parseAddress(hop)
			if !ok {
				break // not an address: the proxy that is trusted so far is the last that is known
			}
			at = next
		}
		return accountable(at)
	}
}

// ConnectionAddress is the caller's address as the connection shows it, of an IPv6 address its network.
func ConnectionAddress(r *http.Request) string {
	if a, ok := remoteAddress(r); ok {
		return accountable(a)
	}
	return r.RemoteAddr
}

func remoteAddress(r *http.Request) (netip.Addr, bool) { return parseAddress(r.RemoteAddr) }

// parseAddress reads an address with or without a port.
func parseAddress(s string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err == nil
}

// accountable is what an address counts as in limits: of IPv6 the network, since its owner has all of it.
func accountable(a netip.Addr) string {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
