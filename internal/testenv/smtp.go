package testenv

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// SMTPServer takes mails on 127.0.0.1 and keeps them. Set its members before the first connection.
type SMTPServer struct {
	// TLS offers STARTTLS; Implicit speaks TLS from the beginning.
	TLS, Implicit bool
	// Auth is what is offered after AUTH, as in "PLAIN LOGIN"; User and Password are what it takes.
	Auth, User, Password string
	// Reply, where set, may answer a command itself; "" leaves it to the server. The end of a mail comes as ".".
	Reply func(command string) string

	// Roots trusts the server's certificate.
	Roots    *x509.CertPool
	listener net.Listener
	cert     tls.Certificate
	mu       sync.Mutex
	mails    []Mail
	commands []string
}

// Mail is one that was taken.
type Mail struct {
	From, To string
	// Data is the message as it came, with dots unstuffed.
	Data string
	// Encrypted says that it came over TLS.
	Encrypted bool
}

// SMTP starts an SMTP server that ends with the test.
func SMTP(t testing.TB) *SMTPServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	s := &SMTPServer{cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, Roots: x509.NewCertPool()}
	s.Roots.AddCert(leaf)
	s.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.listener.Close() })
	go func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

// Address is where it listens, host:port.
func (s *SMTPServer) Address() string { return s.listener.Addr().String() }

// Mails gives what was taken so far.
func (s *SMTPServer) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Commands gives all lines of commands so far, of all connections.
func (s *SMTPServer) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.commands...)
}

func (s *SMTPServer) tls() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12}
}

func (s *SMTPServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	encrypted := s.Implicit
	if s.Implicit {
		conn = tls.Server(conn, s.tls())
	}
	in := bufio.NewReader(conn)
	say := func(text string) bool { _, err := conn.Write([]byte(text + "\r\n")); return err == nil }
	read := func() (string, bool) {
		line, err := in.ReadString('\n')
		return strings.TrimRight(line, "\r\n"), err == nil
	}
	var m Mail
	say("220 mail ESMTP")
	for {
		line, ok := read()
		if !ok {
			return
		}
		s.mu.Lock()
		s.commands = append(s.commands, line)
		s.mu.Unlock()
		if s.Reply != nil {
			if answer := s.Reply(line); answer != "" {
				say(answer)
				continue
			}
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			answer := "250-mail"
			if s.TLS && !encrypted {
				answer += "\r\n250-STARTTLS"
			}
			if s.Auth != "" {
				answer += "\r\n250-AUTH " + s.Auth
			}
			say(answer + "\r\n250 8BITMIME")
		case "STARTTLS":
			say("220 go ahead")
			conn = tls.Server(conn, s.tls())
			in, encrypted = bufio.NewReader(conn), true
		case "AUTH":
			if !s.login(rest, say, read) {
				say("535 5.7.8 wrong user or password")
				continue
			}
			say("235 welcome")
		case "MAIL":
			m = Mail{From: between(rest), Encrypted: encrypted}
			say("250 ok")
		case "RCPT":
			m.To = between(rest)
			say("250 ok")
		case "DATA":
			say("354 go on")
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				m.Data += strings.TrimPrefix(line, ".")
			}
			if s.Reply != nil {
				if answer := s.Reply("."); answer != "" {
					say(answer)
					continue
				}
			}
			s.mu.Lock()
			s.mails = append(s.mails, m)
			s.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("502 what?")
		}
	}
}

func (s *SMTPServer) login(how string, say func(string) bool, read func() (string, bool)) bool {
	method, first, _ := strings.Cut(how, " ")
	plain := func(text string) string {
		b, _ := base64.StdEncoding.DecodeString(text)
		return string(b)
	}
	if method == "PLAIN" {
		return plain(first) == "\x00"+s.User+"\x00"+s.Password
	}
	var answers [2]string
	for i, prompt := range []string{"Username:", "Password:"} {
		say("334 " + base64.StdEncoding.EncodeToString([]byte(prompt)))
		line, ok := read()
		if !ok {
			return false
		}
		answers[i] = plain(line)
	}
	return answers == [2]string{s.User, s.Password}
}

// between takes the address out of FROM:<address>.
func between(text string) string {
	_, after, _ := strings.Cut(text, "<")
	address, _, _ := strings.Cut(after, ">")
	return address
}
