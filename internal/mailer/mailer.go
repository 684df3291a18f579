// Package mailer hands mails to an SMTP server.
package mailer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"net/url"
	"strings"
	"time"
)

// Server is an SMTP server that takes mails, and whom they are from.
type Server struct {
	host, address  string
	implicit       bool // TLS from the first byte on
	plain          bool // no TLS at all
	user, password string
	from           mail.Address
	// TLS replaces how the server's certificate is checked, for tests.
	TLS *tls.Config
}

// Parse reads the address of a server and of the sender:
//
//	smtp://user:password@mail.example.com:587      STARTTLS is required
//	smtps://user:password@mail.example.com:465     TLS from the beginning
//	smtp://localhost:25?starttls=off               no TLS, for a relay in the same network; without a password
//
// The port may be left out. from is an address, with a name where wanted: Slipway <slipway@example.com>.
func Parse(address, from string) (*Server, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		// The text of url.Parse holds the address, and with it the password.
		return nil, errors.New("expected smtp://user:password@host:587 or smtps://user:password@host:465")
	}
	s := &Server{host: u.Hostname(), implicit: u.Scheme == "smtps"}
	port := u.Port()
	switch {
	case port != "":
	case s.implicit:
		port = "465"
	default:
		port = "587"
	}
	s.address = net.JoinHostPort(s.host, port)
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(q) > 1 || len(q) == 1 && !q.Has("starttls") {
		return nil, errors.New("the only parameter that it may have is starttls=off")
	}
	switch q.Get("starttls") {
	case "":
	case "off":
		s.plain = !s.implicit
	default:
		return nil, errors.New("starttls can be off, nothing else: it is required otherwise")
	}
	if u.User != nil {
		s.user = u.User.Username()
		s.password, _ = u.User.Password()
		if s.plain && !loopback(s.host) {
			return nil, errors.New("a password is not sent without TLS: leave the user or starttls=off out")
		}
	}
	a, err := mail.ParseAddress(from)
	if err != nil || strings.ContainsAny(from, "\r\n") {
		return nil, fmt.Errorf("the sender is %q, expected an address such as Slipway <slipway@example.com>", from)
	}
	s.from = *a
	return s, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Error is a refusal by the server.
type Error struct {
	// Code is the reply code: 4xx may pass, 5xx will not.
	Code int
	// Answer is what the server said.
	Answer string
	// Permanent says that the server will not take this mail, however often it is tried. A refused password is not
	// permanent: it is not the mail that is wrong.
	Permanent bool
}

func (e *Error) Error() string {
	return fmt.Sprintf("the mail server answered %d %s", e.Code, e.Answer)
}

// refused turns a reply into an Error. ofMail says that the reply is about the mail.
func refused(err error, ofMail bool) error {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return &Error{Code: reply.Code, Answer: reply.Msg, Permanent: ofMail && reply.Code >= 500}
	}
	return err
}

// Send hands one mail over. When it returns nil the server has taken it; what becomes of it then is not known. After an
// error the server may have taken it all the same: its answer may have been lost. It ends with ctx, which needs a deadline.
func (s *Server) Send(ctx context.Context, m Message) error {
	text, err := m.render(s.from)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err = s.session(ctx, conn, m.To, text)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (s *Server) session(ctx context.Context, conn net.Conn, to string, text []byte) error {
	if s.implicit {
		conn = tls.Client(conn, s.tls())
	}
	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return refused(err, false)
	}
	if err := s.open(c); err != nil {
		return refused(err, false)
	}
	if err := c.Mail(s.from.Address); err != nil {
		return refused(err, true)
	}
	if err := c.Rcpt(to); err != nil {
		return refused(err, true)
	}
	w, err := c.Data()
	if err != nil {
		return refused(err, true)
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return refused(err, true)
	}
	// It has the mail; whether it says good-bye does not matter.
	if ctx.Err() == nil {
		_ = c.Quit()
	}
	return nil
}

// open greets the server, encrypts the connection, and logs in.
func (s *Server) open(c *smtp.Client) error {
	name := "localhost"
	if _, domain, ok := strings.Cut(s.from.Address, "@"); ok {
		name = domain
	}
	if err := c.Hello(name); err != nil {
		return err
	}
	if !s.implicit && !s.plain {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errors.New("the mail server offers no STARTTLS, and nothing is sent without it")
		}
		if err := c.StartTLS(s.tls()); err != nil {
			return err
		}
	}
	if s.user == "" {
		return nil
	}
	ok, methods := c.Extension("AUTH")
	switch {
	case !ok:
		return errors.New("the mail server takes no user and password here")
	case strings.Contains(" "+methods+" ", " PLAIN "):
		return c.Auth(smtp.PlainAuth("", s.user, s.password, s.host))
	case strings.Contains(" "+methods+" ", " LOGIN "):
		return c.Auth(&loginAuth{user: s.user, password: s.password})
	}
	return fmt.Errorf("the mail server wants one of %s, expected PLAIN or LOGIN", methods)
}

func (s *Server) tls() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.TLS != nil {
		c = s.TLS.Clone()
	}
	c.ServerName = s.host
	return c
}

// loginAuth is AUTH LOGIN, all that some servers offer. PLAIN is the standard.
type loginAuth struct {
	user, password string
	asked          int
}

// Start implements smtp.Auth.
func (a *loginAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS && !loopback(server.Name) {
		return "", nil, errors.New("a password is not sent without TLS")
	}
	return "LOGIN", nil, nil
}

// Next implements smtp.Auth. The prompts differ between servers, their order does not.
func (a *loginAuth) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	a.asked++
	switch a.asked {
	case 1:
		return []byte(a.user), nil
	case 2:
		return []byte(a.password), nil
	}
	return nil, errors.New("the mail server asks for more than user and password")
}
