package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// git runs a program to reach an ssh host. It is given "slipway fetch-dial" instead of OpenSSH, which carries bytes to
// the proxy of this process; the proxy makes the connection. So the key never leaves this process's memory, nothing from
// a URL comes near a shell, and scripts' users need no entry in /etc/passwd, without which OpenSSH refuses to start.

const (
	// proxyVariable tells "slipway fetch-dial" where the proxy is.
	proxyVariable = "SLIPWAY_FETCH_PROXY"
	// sshTarget is what it asks the proxy for, commandHeader the command for the host, escaped as in a query.
	sshTarget     = "git-over-ssh:22"
	commandHeader = "Slipway-Git-Command"
	// handshakeLimit bounds the time until an ssh host has accepted the key.
	handshakeLimit = 30 * time.Second
)

// sshSetup connects to one ssh host.
type sshSetup struct {
	source source
	policy Policy
	signer ssh.Signer // nil without a key
	file   string     // known hosts
	known  string     // their text
	// pushes says that git may push now; until then it has no need to.
	pushes atomic.Bool

	mu       sync.Mutex
	fresh    []string     // lines for hosts met for the first time
	complain bytes.Buffer // what the host said on its error stream
}

func newSSH(j job, r Request, s source) (*sshSetup, error) {
	setup := &sshSetup{source: s, policy: j.Policy, known: j.KnownHosts, file: filepath.Join(j.Scratch, "known_hosts")}
	if setup.source.User == "" {
		setup.source.User = "git"
	}
	if r.PrivateKey != "" {
		signer, err := ssh.ParsePrivateKey([]byte(strings.TrimSpace(r.PrivateKey) + "\n"))
		var locked *ssh.PassphraseMissingError
		switch {
		case errors.As(err, &locked):
			return nil, &Error{KindCredentials, "the private key is protected by a passphrase; a key for Slipway must have none"}
		case err != nil:
			return nil, &Error{KindCredentials, "the private key cannot be read; it must be in PEM or OpenSSH form"}
		}
		setup.signer = signer
	}
	return setup, os.WriteFile(setup.file, []byte(j.KnownHosts), 0o600)
}

// command is GIT_SSH_COMMAND. git hands it to a shell; nothing from outside is in it.
func (s *sshSetup) command() string { return fmt.Sprintf("/proc/%d/exe fetch-dial", os.Getpid()) }

func (s *sshSetup) newHosts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return newLines(s.known, s.fresh)
}

// said is what the host wrote on its error stream, such as "Repository not found".
func (s *sshSetup) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.complain.String()
}

// Write takes the host's error stream. No more than its beginning is of use.
func (s *sshSetup) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if room := 8<<10 - s.complain.Len(); room > 0 {
		s.complain.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// connect makes an authenticated connection over the given one.
func (s *sshSetup) connect(conn net.Conn, address string) (*ssh.Client, error) {
	check, algorithms, err := s.hostKeys(address)
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{User: s.source.User, HostKeyCallback: check, HostKeyAlgorithms: algorithms}
	if s.signer != nil {
		config.Auth = []ssh.AuthMethod{ssh.PublicKeys(s.signer)}
	}
	_ = conn.SetDeadline(time.Now().Add(handshakeLimit))
	link, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		var known *Error
		switch {
		case errors.As(err, &known):
			return nil, known
		case strings.Contains(err.Error(), "unable to authenticate") && s.signer == nil:
			return nil, &Error{KindCredentials, fmt.Sprintf("%s asks for a private key, and none is given", s.source.Host)}
		case strings.Contains(err.Error(), "unable to authenticate"):
			return nil, &Error{KindCredentials, fmt.Sprintf("%s did not accept the private key", s.source.Host)}
		}
		return nil, &Error{KindUnreachable, fmt.Sprintf("%s did not complete the ssh handshake", s.source.Host)}
	}
	_ = conn.SetDeadline(time.Time{})
	return ssh.NewClient(link, channels, requests), nil
}

// hostKeys returns the check of the host's key and the algorithms to ask for. A host that is known by one kind of key
// must be asked for that kind, else a second key of its would look like a changed one.
func (s *sshSetup) hostKeys(address string) (ssh.HostKeyCallback, []string, error) {
	known, err := knownhosts.New(s.file)
	if err != nil {
		return nil, nil, &Error{KindHostKey, "the file of known hosts cannot be read: " + clip(err.Error())}
	}
	var algorithms []string
	var want *knownhosts.KeyError
	if err := known(address, &net.TCPAddr{}, noKey{}); errors.As(err, &want) {
		for _, key := range want.Want {
			if kind := key.Key.Type(); kind == ssh.KeyAlgoRSA {
				algorithms = append(algorithms, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			} else {
				algorithms = append(algorithms, kind)
			}
		}
	}
	check := func(host string, remote net.Addr, key ssh.PublicKey) error {
		err := known(host, remote, key)
		var mismatch *knownhosts.KeyError
		var revoked *knownhosts.RevokedError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &mismatch) && len(mismatch.Want) > 0:
			return &Error{KindHostKey, fmt.Sprintf("the host key of %s has changed; if that is right, its line must be removed from the known hosts", s.source.Host)}
		case errors.As(err, &revoked):
			return &Error{KindHostKey, fmt.Sprintf("the host key of %s is revoked", s.source.Host)}
		case s.policy.StrictHostKeys || !errors.As(err, &mismatch):
			return &Error{KindHostKey, fmt.Sprintf("the host key of %s (%s) is not among the known hosts", s.source.Host, ssh.FingerprintSHA256(key))}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fresh = append(s.fresh, knownhosts.Line([]string{knownhosts.Normalize(host)}, key))
		return nil
	}
	return check, algorithms, nil
}

// noKey is a key that no host has; asking for it tells which keys a host is known by.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// serve runs git's command on the host and carries its streams.
func (s *sshSetup) serve(ctx context.Context, p *proxy, w http.ResponseWriter, r *http.Request) {
	refuse := func(err error) {
		var known *Error
		if errors.As(err, &known) {
			p.fail(known)
		}
		w.WriteHeader(http.StatusBadGateway)
	}
	command, err := url.QueryUnescape(r.Header.Get(commandHeader))
	if err != nil || !strings.HasPrefix(command, "git-upload-pack '") && (!s.pushes.Load() || !strings.HasPrefix(command, "git-receive-pack '")) {
		w.WriteHeader(http.StatusBadRequest) // nothing needs another one
		return
	}
	port := s.source.Port
	if port == "" {
		port = "22"
	}
	address := net.JoinHostPort(s.source.Host, port)
	conn, err := p.dial(ctx, "tcp", address)
	if err != nil {
		refuse(err) // dial has noted the reason
		return
	}
	defer conn.Close()
	client, err := s.connect(conn, address)
	if err != nil {
		refuse(err)
		return
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		refuse(err)
		return
	}
	defer session.Close()
	if version := r.Header.Get("Git-Protocol"); version != "" {
		_ = session.Setenv("GIT_PROTOCOL", version) // hosts may refuse it; git then speaks an older version
	}
	stdin, err := session.StdinPipe()
	if err != nil {
		refuse(err)
		return
	}
	stdout, err := session.StdoutPipe()
	if err != nil {
		refuse(err)
		return
	}
	session.Stderr = s
	if err := session.Start(command); err != nil {
		refuse(err)
		return
	}
	w.WriteHeader(http.StatusOK)
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	go func() {
		_, _ = io.Copy(stdin, buffered)
		_ = stdin.Close()
	}()
	_, _ = io.Copy(near, stdout)
	_ = session.Wait() // the host's last words on the error stream have come when this returns
}
