package api

import (
	"net/http"
	"strings"
)

// CrossOrigin lets the pages of one other site call the paths below a prefix with the reader's own login. Everything
// else stays closed to other sites.
type CrossOrigin struct {
	// Origin is the other site's scheme and host, as in https://temporal.example.com.
	Origin string
	// Prefix of the paths it may call. They must change nothing.
	Prefix string
}

// crossOrigin answers the browser's question before such a call (true: the request is answered), and lets the call itself
// pass the check that refuses other sites.
func (s *Server) crossOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	for _, c := range s.crossOrigins {
		if c.Origin != origin || !strings.HasPrefix(r.URL.Path, c.Prefix) {
			continue
		}
		h := w.Header()
		h.Add("Vary", "Origin")
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Namespace")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return true
		}
		// What the browser says of the page's site is what the check goes by.
		r.Header.Del("Origin")
		r.Header.Del("Sec-Fetch-Site")
		return false
	}
	return false
}
