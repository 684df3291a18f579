package mailer

import (
	"context"
	"crypto/tls"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
)

var message = Message{ID: "id-1", To: "ann@example.com", Subject: "[shop] build web #1 failed", Text: "Größe: 3\n.\n..dots\nhttps://slipway.example.com/" + strings.Repeat("x", 200) + "\n",
	Date: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Headers: [][2]string{{"X-Slipway-Event", "failed"}}}

func send(t *testing.T, address string, s *testenv.SMTPServer, m Message) error {
	t.Helper()
	server, err := Parse(address, "Slipway <slipway@example.com>")
	require.NoError(t, err)
	server.TLS = &tls.Config{RootCAs: s.Roots}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return server.Send(ctx, m)
}

// parsed reads a mail as a receiver does.
func parsed(t *testing.T, data string) (mail.Header, string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	require.NoError(t, err)
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	require.NoError(t, err)
	return m.Header, strings.ReplaceAll(string(text), "\r\n", "\n")
}

func TestMailArrivesOverEachKindOfConnection(t *testing.T) {
	for name, c := range map[string]struct {
		set       func(*testenv.SMTPServer)
		address   string
		encrypted bool
	}{
		"starttls with plain": {func(s *testenv.SMTPServer) { s.TLS, s.Auth, s.User, s.Password = true, "PLAIN LOGIN", "u", "p%1" }, "smtp://u:p%251@HOST", true},
		"starttls with login": {func(s *testenv.SMTPServer) { s.TLS, s.Auth, s.User, s.Password = true, "LOGIN", "u", "p" }, "smtp://u:p@HOST", true},
		"tls":                 {func(s *testenv.SMTPServer) { s.Implicit = true }, "smtps://HOST", true},
		"none":                {func(*testenv.SMTPServer) {}, "smtp://HOST?starttls=off", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := testenv.SMTP(t)
			c.set(s)
			require.NoError(t, send(t, strings.Replace(c.address, "HOST", s.Address(), 1), s, message))
			require.Len(t, s.Mails(), 1)
			m := s.Mails()[0]
			require.Equal(t, "slipway@example.com", m.From)
			require.Equal(t, "ann@example.com", m.To)
			require.Equal(t, c.encrypted, m.Encrypted)
			h, text := parsed(t, m.Data)
			require.Equal(t, message.Text, text)
			require.Equal(t, `"Slipway" <slipway@example.com>`, h.Get("From"))
			require.Equal(t, "<ann@example.com>", h.Get("To"))
			require.Equal(t, message.Subject, h.Get("Subject"))
			require.Equal(t, "<id-1@example.com>", h.Get("Message-ID"))
			require.Equal(t, "failed", h.Get("X-Slipway-Event"))
			require.Equal(t, "auto-generated", h.Get("Auto-Submitted"))
			for line := range strings.Lines(m.Data) {
				require.LessOrEqual(t, len(line), 998)
			}
		})
	}
}

// Whatever a text holds, it makes no header, no second receiver and no second mail.
func TestS14HeadersCannotBeInjected(t *testing.T) {
	for _, text := range []string{"a\r\nBcc: evil@example.com", "a\nBcc: evil@example.com", "a\rBcc: evil@example.com", "a\r\n Bcc: x", "a\r\n\r\nbody", "ä\r\nBcc: evil@example.com", "a\x00b",
		strings.Repeat("ä\r\nBcc: e@example.com ", 40), "\r\n.\r\nMAIL FROM:<evil@example.com>\r\n"} {
		s := testenv.SMTP(t)
		m := message
		m.Subject, m.ID, m.Text = text, "id"+text, text
		m.Headers = [][2]string{{"X-Slipway-Event", text}}
		require.NoError(t, send(t, "smtp://"+s.Address()+"?starttls=off", s, m), "%q", text)
		require.Len(t, s.Mails(), 1)
		h, body := parsed(t, s.Mails()[0].Data)
		require.Empty(t, h.Get("Bcc"), "%q", text)
		require.Len(t, h, 10, "%q", text)
		subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(text)), strings.TrimSpace(subject))
		require.Equal(t, strings.TrimRight(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n"), strings.TrimRight(body, "\n"))
		for _, command := range s.Commands() {
			require.NotContains(t, command, "evil")
		}
	}
	s := testenv.SMTP(t)
	for _, to := range []string{"a@example.com\r\nRCPT TO:<evil@example.com>", "a@example.com, b@example.com", "Ann <a@example.com>", "", "nobody"} {
		m := message
		m.To = to
		require.Error(t, send(t, "smtp://"+s.Address()+"?starttls=off", s, m), to)
	}
	require.Empty(t, s.Commands())
}

func TestRefusals(t *testing.T) {
	for reply, c := range map[string]struct {
		command   string
		permanent bool
	}{
		"550 5.1.1 no such user": {"RCPT", true}, "451 4.7.1 try later": {"RCPT", false}, "552 too large": {".", true}, "421 busy": {".", false},
		"553 not from you": {"MAIL", true}, "454 no": {"DATA", false},
	} {
		s := testenv.SMTP(t)
		s.Reply = func(command string) string {
			if strings.HasPrefix(command, c.command) {
				return reply
			}
			return ""
		}
		err := send(t, "smtp://"+s.Address()+"?starttls=off", s, message)
		var refused *Error
		require.ErrorAs(t, err, &refused, reply)
		require.Equal(t, c.permanent, refused.Permanent, reply)
		require.Contains(t, err.Error(), reply[4:])
		require.Empty(t, s.Mails())
	}
	// A wrong password is not the mail's fault.
	s := testenv.SMTP(t)
	s.TLS, s.Auth, s.User, s.Password = true, "PLAIN", "u", "right"
	err := send(t, "smtp://u:wrong@"+s.Address(), s, message)
	var refused *Error
	require.ErrorAs(t, err, &refused)
	require.False(t, refused.Permanent)
	require.NotContains(t, err.Error(), "wrong@")
}

// S9: neither a password nor a mail goes out in the clear where TLS is asked for.
func TestS9NothingIsSentWithoutTLS(t *testing.T) {
	s := testenv.SMTP(t)
	s.Auth, s.User, s.Password = "PLAIN", "u", "p"
	require.ErrorContains(t, send(t, "smtp://u:p@"+s.Address(), s, message), "STARTTLS")
	for _, command := range s.Commands() {
		require.True(t, strings.HasPrefix(command, "EHLO") || strings.HasPrefix(command, "QUIT"), command)
	}
	// A certificate that nobody vouches for.
	s = testenv.SMTP(t)
	s.TLS = true
	server, err := Parse("smtp://"+s.Address(), "slipway@example.com")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.ErrorContains(t, server.Send(ctx, message), "certificate")
	require.Empty(t, s.Mails())
}

func TestSilentServerEndsWithTheContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if conn, err := l.Accept(); err == nil {
			accepted <- conn // and says nothing
		}
	}()
	server, err := Parse("smtp://"+l.Addr().String(), "slipway@example.com")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, server.Send(ctx, message), context.DeadlineExceeded)
	(<-accepted).Close()
}

func TestParse(t *testing.T) {
	for _, bad := range []string{"", "mail.example.com", "http://mail.example.com", "smtp://", "smtp://h/path", "smtp://h?starttls=on", "smtp://h?tls=off", "smtp://u:hunter2@h?starttls=off", "smtp://u:hunter2@h:port"} {
		_, err := Parse(bad, "slipway@example.com")
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "hunter2")
	}
	for _, from := range []string{"", "slipway", "a@example.com\r\nBcc: x@example.com", "a@example.com, b@example.com"} {
		_, err := Parse("smtp://h", from)
		require.Error(t, err, from)
	}
	for address, want := range map[string]string{"smtp://h": "h:587", "smtps://h": "h:465", "smtp://h:25?starttls=off": "h:25", "smtp://[::1]:25": "[::1]:25"} {
		s, err := Parse(address, "slipway@example.com")
		require.NoError(t, err)
		require.Equal(t, want, s.address)
	}
}
