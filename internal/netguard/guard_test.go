package netguard

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// S13: no address but public ones, in whatever form it is written.
func TestS13Addresses(t *testing.T) {
	private := Policy{AllowPrivate: true}
	for _, test := range []struct {
		addr              string
		public, permitted bool // allowed by the zero policy, and with AllowPrivate
	}{
		{"93.184.216.34", true, true},
		{"2606:2800:220:1:248:1893:25c8:1946", true, true},
		{"::ffff:93.184.216.34", true, true},
		{"64:ff9b::5db8:d822", true, true},
		{"127.0.0.1", false, true},
		{"127.255.255.254", false, true},
		{"::1", false, true},
		{"::ffff:127.0.0.1", false, true},
		{"64:ff9b::7f00:1", false, true},
		{"2002:7f00:1::", false, true},
		{"10.1.2.3", false, true},
		{"172.16.0.1", false, true},
		{"172.31.255.255", false, true},
		{"172.32.0.1", true, true},
		{"192.168.1.1", false, true},
		{"::ffff:192.168.1.1", false, true},
		{"100.64.0.1", false, true},
		{"100.128.0.1", true, true},
		{"fd00::1", false, true},
		{"fec0::1", false, true},
		{"169.254.1.1", false, false},
		{"169.254.169.254", false, false},
		{"::ffff:169.254.169.254", false, false},
		{"64:ff9b::a9fe:a9fe", false, false},
		{"2002:a9fe:a9fe::1", false, false},
		{"fd00:ec2::254", false, false},
		{"168.63.129.16", false, false},
		{"100.100.100.200", false, false},
		{"fe80::1", false, false},
		{"fe80::1%eth0", false, false},
		{"0.0.0.0", false, false},
		{"::", false, false},
		{"::7f00:1", false, false},
		{"224.0.0.1", false, false},
		{"255.255.255.255", false, false},
		{"240.0.0.1", false, false},
		{"ff02::1", false, false},
		{"2001::1", false, false},
		{"198.18.0.1", false, false},
	} {
		addr := netip.MustParseAddr(test.addr)
		require.Equal(t, test.public, Policy{}.Check(addr) == nil, test.addr)
		require.Equal(t, test.permitted, private.Check(addr) == nil, test.addr)
	}
	require.Error(t, Policy{AllowPrivate: true}.Check(netip.Addr{}))
	some := Policy{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	require.NoError(t, some.Check(netip.MustParseAddr("10.1.2.3")))
	require.NoError(t, some.Check(netip.MustParseAddr("::ffff:10.1.2.3")))
	require.Error(t, some.Check(netip.MustParseAddr("10.2.2.3")))
}

// S13: the check is made after resolution and on every redirect.
func TestS13TransportChecksResolvedAddressAndRedirects(t *testing.T) {
	inner := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the inner server was reached")
	}))
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	require.NoError(t, err)
	inner.Listener.Close()
	inner.Listener = listener
	inner.Start()
	defer inner.Close()
	outer := httptest.NewServer(http.RedirectHandler(inner.URL, http.StatusFound))
	defer outer.Close()

	get := func(p Policy, address string) error {
		transport := p.Transport()
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get(address)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	var refused *RefusedError
	require.ErrorAs(t, get(Policy{}, outer.URL), &refused)
	named, err := url.Parse(outer.URL)
	require.NoError(t, err)
	named.Host = strings.Replace(named.Host, "127.0.0.1", "localhost", 1)
	require.ErrorAs(t, get(Policy{}, named.String()), &refused)
	require.Equal(t, "localhost", refused.Host)
	require.Equal(t, "connecting to localhost is not allowed: it is a loopback address", refused.Error())

	one := Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	require.ErrorAs(t, get(one, outer.URL), &refused)
	require.Equal(t, "127.0.0.2", refused.Host)
}
