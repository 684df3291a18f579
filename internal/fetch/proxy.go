package fetch

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"

	"slipway/internal/netguard"
)

// proxy is the only way out for git: an HTTP proxy on loopback that checks each address it dials and counts
// what it carries. Its password keeps other processes of the machine out.
type proxy struct {
	policy   Policy
	exceeded context.CancelCauseFunc
	listener net.Listener
	server   *http.Server
	forward  *httputil.ReverseProxy
	password string
	ssh      *sshSetup // set where the source is reached by ssh
	carried  atomic.Int64

	mu  sync.Mutex
	err *Error // the last failure to connect
}

func startProxy(policy Policy, tunnel *sshSetup, exceeded context.CancelCauseFunc) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{policy: policy, exceeded: exceeded, listener: listener, ssh: tunnel, password: rand.Text()}
	transport := policy.Network.Transport()
	transport.DialContext = p.dial
	transport.DisableCompression = true
	// A connection that the far end is just closing cannot be told from a good one, and git's requests cannot be repeated.
	transport.DisableKeepAlives = true
	p.forward = &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.Header.Del("Proxy-Authorization") },
		Transport: transport,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if p.failure() == nil { // else dial has noted a better reason
				p.fail(&Error{KindUnreachable, fmt.Sprintf("%s broke off the connection (%s)", r.URL.Hostname(), clip(err.Error()))})
			}
			w.WriteHeader(http.StatusBadGateway)
		},
		ErrorLog:      log.New(io.Discard, "", 0),
		FlushInterval: -1,
	}
	p.server = &http.Server{Handler: p}
	go func() { _ = p.server.Serve(listener) }() // ends with close
	return p, nil
}

func (p *proxy) close() { p.server.Close() }

func (p *proxy) url() string {
	return "http://slipway:" + p.password + "@" + p.listener.Addr().String()
}

// failure is why the last connection could not be made, or nil.
func (p *proxy) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		return nil
	}
	return p.err
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.authorized(r.Header.Get("Proxy-Authorization")) {
		w.Header().Set("Proxy-Authenticate", `Basic realm="slipway"`)
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	switch {
	case r.Method == http.MethodConnect && p.ssh != nil:
		p.ssh.serve(r.Context(), p, w, r)
	case r.Method == http.MethodConnect:
		p.connect(w, r)
	case r.URL.IsAbs() && r.URL.Scheme == "http" && p.policy.AllowHTTP:
		p.forward.ServeHTTP(w, r)
	case r.URL.IsAbs():
		p.fail(&Error{KindRefused, fmt.Sprintf("the repository leads to %s over http://, which is not encrypted", r.URL.Hostname())})
		w.WriteHeader(http.StatusForbidden)
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

func (p *proxy) authorized(header string) bool {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("slipway:"+p.password))
	return subtle.ConstantTimeCompare([]byte(header), []byte(want)) == 1
}

func (p *proxy) connect(w http.ResponseWriter, r *http.Request) {
	far, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		var refused *netguard.RefusedError
		if errors.As(err, &refused) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer far.Close()
	w.WriteHeader(http.StatusOK)
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(far, buffered)
		if tcp, ok := far.(*countedConn); ok {
			_ = tcp.closeWrite()
		}
	}()
	_, _ = io.Copy(near, far)
	near.Close()
	<-done
}

// dial connects under the policy and remembers why it could not.
func (p *proxy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := p.policy.Network.DialContext(ctx, network, address)
	if err == nil {
		p.fail(nil)
		return &countedConn{Conn: conn, proxy: p}, nil
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		host = address
	}
	var refused *netguard.RefusedError
	var name *net.DNSError
	switch {
	case errors.As(err, &refused):
		p.fail(p.policy.refusal(host, err))
	case errors.As(err, &name) && name.IsNotFound:
		p.fail(&Error{KindUnreachable, fmt.Sprintf("the host %s does not exist", host)})
	default:
		why := err.Error()
		if i := strings.LastIndex(why, ": "); i >= 0 {
			why = why[i+2:]
		}
		p.fail(&Error{KindUnreachable, fmt.Sprintf("could not connect to %s: %s", host, why)})
	}
	return nil, err
}

func (p *proxy) fail(err *Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// countedConn counts what comes from the far end.
type countedConn struct {
	net.Conn
	proxy *proxy
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.proxy.carried.Add(int64(n)) > c.proxy.policy.MaxBytes {
		c.proxy.exceeded(tooLarge(c.proxy.policy.MaxBytes))
		c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *countedConn) closeWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
