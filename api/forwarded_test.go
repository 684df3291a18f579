package api

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestS17ForwardedAddress: nobody chooses the address that his failed logins are counted under.
func TestS17ForwardedAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, c := range map[string]struct {
		remote, forwarded, want string
	}{
		"no proxy between":           {"192.0.2.1:1", "198.51.100.7", "192.0.2.1"},
		"one proxy":                  {"10.0.0.1:1", "198.51.100.7", "198.51.100.7"},
		"two proxies":                {"10.0.0.1:1", "198.51.100.7, 10.0.0.2", "198.51.100.7"},
		"the caller invents a hop":   {"10.0.0.1:1", "203.0.113.9, 198.51.100.7", "198.51.100.7"},
		"the caller claims a proxy":  {"10.0.0.1:1", "10.9.9.9, 198.51.100.7", "198.51.100.7"},
		"with a port":                {"10.0.0.1:1", "198.51.100.7:4711", "198.51.100.7"},
		"no header":                  {"10.0.0.1:1", "", "10.0.0.1"},
		"not an address":             {"10.0.0.1:1", "198.51.100.7, unknown", "10.0.0.1"},
		"IPv6 counts by its network": {"[fd00::1]:1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"},
		"IPv4 in IPv6":               {"[::ffff:10.0.0.1]:1", "198.51.100.7", "198.51.100.7"},
		"a very long header ends":    {"10.0.0.1:1", "198.51.100.7" + strings.Repeat(", 10.0.0.2", 1000), "10.0.0.2"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = c.remote
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			require.Equal(t, c.want, ForwardedAddress(proxies)(r))
		})
	}
	require.Nil(t, ForwardedAddress(nil))
}
