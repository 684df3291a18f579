package logs

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	// shortest is the length a secret must have to be masked: shorter ones would blot out ordinary text.
	shortest = 4
	// shortestLine is the length from which a line of a secret of several lines is masked by itself.
	shortestLine = 8
	// largest is the size up to which a secret is also masked in encoded forms.
	largest = 32 << 10
)

// variants lists the texts under which a secret may be printed. Those of the second list are base64, which tools break
// into lines at any place.
func variants(secret string) (plain, encoded []string) {
	// Scripts print values without their final newline as often as with it.
	secret = strings.TrimSpace(secret)
	if len(secret) < shortest {
		return nil, nil
	}
	plain = append(plain, secret)
	if strings.Contains(secret, "\n") {
		unix := strings.ReplaceAll(secret, "\r\n", "\n")
		plain = append(plain, unix, strings.ReplaceAll(unix, "\n", "\r\n"))
		for line := range strings.SplitSeq(secret, "\n") {
			if line = strings.TrimSpace(line); len(line) >= shortestLine {
				plain = append(plain, line)
			}
		}
	}
	if len(secret) > largest {
		return plain, nil
	}
	plain = append(plain, quoted(secret)...)
	plain = append(plain, percentEncoded(secret)...)
	encoded = base64Forms(secret)
	if !strings.Contains(secret, "\n") || len(secret)+1 > largest {
		return plain, encoded
	}
	// A key is a file, and a file ends in a newline that counts in base64 only at the very end.
	return plain, append(encoded, base64Forms(secret+"\n")...)
}

// quoted are the forms in JSON, in HTML and in shells.
func quoted(secret string) []string {
	var forms []string
	add := func(form string) {
		if form != secret {
			forms = append(forms, form)
		}
	}
	for _, form := range jsonForms(secret) {
		add(form)
		for _, twice := range jsonForms(form) { // JSON inside JSON
			add(twice)
		}
	}
	add(html.EscapeString(secret))
	// What set -x prints, and printf %q.
	add(strings.ReplaceAll(secret, `'`, `'\''`))
	add(strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(secret))
	add(backslashed(secret))
	return forms
}

// jsonForms are the inner texts of the JSON strings that usual encoders make: with and without escapes for HTML, for
// slashes, and for everything that is not ASCII.
func jsonForms(secret string) []string {
	if !utf8.ValidString(secret) {
		return nil
	}
	var escaped strings.Builder
	encoder := json.NewEncoder(&escaped)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(secret) != nil {
		return nil
	}
	text := strings.TrimSuffix(escaped.String(), "\n")
	text = text[1 : len(text)-1]
	forms := []string{text, strings.ReplaceAll(text, "/", `\/`)}
	if markup, err := json.Marshal(secret); err == nil {
		forms = append(forms, string(markup[1:len(markup)-1]))
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		var lower strings.Builder
		for _, r := range text {
			switch {
			case r < utf8.RuneSelf:
				lower.WriteRune(r)
			case r > 0xffff:
				r -= 0x10000
				fmt.Fprintf(&lower, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			default:
				fmt.Fprintf(&lower, `\u%04x`, r)
			}
		}
		forms = append(forms, lower.String())
	}
	return forms
}

func backslashed(secret string) string {
	var b strings.Builder
	for i := range len(secret) {
		c := secret[i]
		if !isAlphanumeric(c) && !strings.ContainsRune("_/.:=@%+-,", rune(c)) && c < utf8.RuneSelf {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// percentEncoded are the forms in URLs. Encoders differ in the marks they leave alone and in the case of the digits.
func percentEncoded(secret string) []string {
	forms := []string{url.QueryEscape(secret), url.PathEscape(secret)}
	for _, safe := range []string{"-_.~", "-_.~/", "-_.!~*'()", "-_.", "-_.!~*'();/?:@&=+$,#"} {
		var b strings.Builder
		for i := range len(secret) {
			if c := secret[i]; isAlphanumeric(c) || strings.IndexByte(safe, c) >= 0 {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
		forms = append(forms, b.String())
	}
	for _, form := range forms {
		forms = append(forms, lowerEscapes(form))
	}
	return forms
}

func lowerEscapes(form string) string {
	b := []byte(form)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(string(b[i+1:i+3])))
		}
	}
	return string(b)
}

// base64Forms are the parts of a base64 text that a secret determines, for the three positions it can have in a group
// of three bytes, and the whole text for a secret encoded by itself.
func base64Forms(secret string) []string {
	var forms []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := encoding.EncodeToString([]byte(strings.Repeat("\x00", before) + secret))
			// The first characters hold bits of what stands before, the last one may hold bits of what follows.
			first, last := (before*8+5)/6, (before+len(secret))*8/6
			if part := text[first:last]; len(part) >= shortest {
				forms = append(forms, part)
			}
		}
		whole := encoding.EncodeToString([]byte(secret))
		forms = append(forms, whole)
		if padding := (4 - len(whole)%4) % 4; padding > 0 {
			forms = append(forms, whole+strings.Repeat("=", padding))
		}
	}
	return forms
}
