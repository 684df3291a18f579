package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/app"
	"slipway/internal/config"
)

// served is an API process: its address, the one of its metrics, and what it logged before it listened.
func served(t *testing.T, tune func(*config.Config)) (address, metrics, log string) {
	t.Helper()
	t.Setenv("SLIPWAY_DATABASE_URL", "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"))
	t.Setenv("SLIPWAY_DATA_DIR", t.TempDir())
	t.Setenv("SLIPWAY_TEMPORAL_ADDRESS", "127.0.0.1:1")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	metrics = free.Addr().String()
	require.NoError(t, free.Close())
	cfg, err := config.LoadWith("", func(c *config.Config) {
		c.MetricsListen = metrics
		tune(c)
	})
	require.NoError(t, err)
	var said bytes.Buffer
	a, err := app.Open(t.Context(), cfg, app.Options{Migrate: true, Log: slog.New(slog.NewTextHandler(&said, nil))})
	require.NoError(t, err)
	log = said.String()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, a, l, false) }()
	t.Cleanup(func() {
		end()
		require.NoError(t, <-done)
		require.NoError(t, a.Close())
	})
	return l.Addr().String(), metrics, log
}

// S26: what tells about the inside of the process is not on the address that callers of the API reach.
func TestS26MetricsAndProfilesHaveTheirOwnAddress(t *testing.T) {
	address, metrics, log := served(t, func(*config.Config) {})
	status := func(url string) int {
		res, err := http.Get(url)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	require.Equal(t, http.StatusOK, status("http://"+address+"/health"))
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/vars"} {
		require.Equal(t, http.StatusNotFound, status("http://"+address+path), path)
	}
	require.Equal(t, http.StatusOK, status("http://"+metrics+"/metrics"))
	require.Equal(t, http.StatusOK, status("http://"+metrics+"/debug/pprof/"))
	require.NotContains(t, log, "AUTHENTICATION IS OFF")
	require.Equal(t, http.StatusUnauthorized, status("http://"+address+"/api/v1/state/"), "nobody gets in without being told to let them")
}

// S26: a server that lets everybody in says so, loudly.
func TestS26NoAuthenticationIsSaidLoudly(t *testing.T) {
	_, _, log := served(t, func(c *config.Config) { c.Auth = "none" })
	require.Contains(t, log, "level=WARN")
	require.Contains(t, log, "AUTHENTICATION IS OFF")
}

// S26: with a certificate, nothing older than TLS 1.2 and nothing in the clear is answered.
func TestS26TLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	bytesOfKey, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bytesOfKey}), 0o600))
	address, _, _ := served(t, func(c *config.Config) { c.TLSCert, c.TLSKey = cert, key })
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	get := func(limit uint16) error {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10, MaxVersion: limit}}
		defer transport.CloseIdleConnections()
		res, err := (&http.Client{Transport: transport}).Get("https://" + address + "/health")
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
	require.NoError(t, get(tls.VersionTLS13))
	require.NoError(t, get(tls.VersionTLS12))
	require.ErrorContains(t, get(tls.VersionTLS11), "protocol version")
	res, err := http.Get("http://" + address + "/api/v1/state/")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
}

// S19: a head that is too large is refused, and one that does not arrive is given up.
func TestS19HeadsOfRequests(t *testing.T) {
	before := headerTimeout
	headerTimeout = 200 * time.Millisecond
	address, _, _ := served(t, func(*config.Config) {})
	t.Cleanup(func() { headerTimeout = before })
	say := func(text string) string {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer conn.Close()
		// Far longer than the server waits: where this passes, it would wait for ever.
		require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
		_, err = io.WriteString(conn, text)
		require.NoError(t, err)
		answer, err := io.ReadAll(conn)
		require.NoError(t, err)
		return string(answer)
	}
	require.Contains(t, say(fmt.Sprintf("GET /health HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 80<<10))), "431")
	require.NotContains(t, say("GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "), "200")
}
