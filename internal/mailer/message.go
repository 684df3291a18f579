package mailer

import (
	"bytes"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"
)

// Message is one mail of plain text to one receiver.
type Message struct {
	// ID is the same when the mail is sent again, so that what arrives twice can be told.
	ID string
	// To is a bare address.
	To      string
	Subject string
	Text    string
	Date    time.Time
	// Headers are further ones, as in X-Slipway-Event. Line breaks in values become spaces.
	Headers [][2]string
}

// render writes the mail in the form of RFC 5322. Whatever the texts hold, they cannot end a header and begin another.
func (m Message) render(from mail.Address) ([]byte, error) {
	to := mail.Address{Address: m.To}
	if a, err := mail.ParseAddress(m.To); err != nil || a.Address != m.To {
		return nil, fmt.Errorf("%q is not the address of a mail", m.To)
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("From", from.String())
	header("To", to.String())
	header("Subject", encoded(m.Subject))
	header("Date", m.Date.Format(time.RFC1123Z))
	header("Message-ID", "<"+flat(m.ID)+"@"+domain+">")
	header("Auto-Submitted", "auto-generated")
	for _, h := range m.Headers {
		header(h[0], encoded(h[1]))
	}
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(strings.ReplaceAll(m.Text, "\r\n", "\n"))); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// encoded is a text as a header's value. Encoded words are folded: a line has at most 998 bytes.
func encoded(text string) string {
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", flat(text)), "?= =?", "?=\r\n =?")
}

// flat puts a text on one line: a line break would end the header.
func flat(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return ' '
		}
		return r
	}, text)
}
